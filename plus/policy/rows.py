"""Prompts for a response policy, each with its user's summary, and the data sets that TRL trains on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from plus.errors import SourceError
from plus.models.text import as_paragraphs
from plus.policy.model import Asked
from plus.types import Dropped, Message, as_turns


def read(rows: Iterable[Mapping[str, Any]], summaries: Mapping[str, str] | None = None) -> tuple[list[Asked], Dropped]:
    """Prompts from rows with `prompt` (text or turns) and `user_id` or `summary`.

    A row's own `summary` comes first, then `summaries[user_id]`. A user of whom nothing is known is
    asked without a summary, and counted. Raises SourceError where no row is a prompt.
    """
    asked: list[Asked] = []
    dropped = Dropped()
    for number, row in enumerate(rows, start=1):
        prompt = _prompt(row.get("prompt"))
        if not prompt:
            dropped.add("rows without a prompt", f"row {number}")
            continue
        user = str(row.get("user_id") or "")
        summary = str(row.get("summary") or (summaries or {}).get(user, "")).strip()
        if not summary:
            dropped.add("prompts whose user has no summary: asked without one", f"row {number}, user {user or '-'}")
        asked.append(Asked(prompt, summary, user))
    if not asked:
        raise SourceError("no row holds a prompt; write rows with prompt and user_id or summary")
    return asked, dropped


def to_prompts(asked: Sequence[Asked], tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """TRL's prompt-only data set, with the columns that `Goals` reads."""
    return Dataset.from_list(
        [
            {
                "prompt": _readable(one.messages(), tokenizer),
                "question": Asked(one.prompt).messages(),
                "summary": one.summary,
                "user_id": one.user_id,
            }
            for one in asked
        ]
    )


def to_completions(asked: Sequence[Asked], texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """TRL's prompt-completion data set, for supervised fine-tuning."""
    rows = zip(asked, texts, strict=True)
    return Dataset.from_list(
        [{"prompt": _readable(a.messages(), tokenizer), "completion": _answer(text, tokenizer)} for a, text in rows]
    )


def to_pairs(
    asked: Sequence[Asked], chosen: Sequence[str], rejected: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> Dataset:
    """TRL's preference data set with explicit prompts, for DPO."""
    return Dataset.from_list(
        [
            {
                "prompt": _readable(one.messages(), tokenizer),
                "chosen": _answer(better, tokenizer),
                "rejected": _answer(worse, tokenizer),
            }
            for one, better, worse in zip(asked, chosen, rejected, strict=True)
        ]
    )


def _readable(messages: list[Message], tokenizer: PreTrainedTokenizerBase) -> Any:
    return messages if tokenizer.chat_template is not None else as_paragraphs(messages) + "\n\n"


def _answer(text: str, tokenizer: PreTrainedTokenizerBase) -> Any:
    return [{"role": "assistant", "content": text}] if tokenizer.chat_template is not None else text


def _prompt(value: Any) -> Any:
    if isinstance(value, str) or not value:
        return (value or "").strip()
    turns = as_turns(value)
    return turns[0].content if len(turns) == 1 and turns[0].role == "user" else turns
