"""PRISM: ratings of several models' answers by 1,500 people from 75 countries, in their own conversations.

1,396 of them hold 8,011 conversations with 68,371 rated answers. In each turn the chosen answer is
paired with every answer that was rated lower; equal ratings choose nothing and are counted. The
conversation so far is the prompt's `earlier`, and open feedback is a remark after it.
Licence: people's texts CC BY 4.0, models' answers CC BY-NC 4.0.
Source: https://huggingface.co/datasets/HannahRoseKirk/prism-alignment
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.sources.contexts import build, by_user
from plus.sources.fields import UnusableError, seconds
from plus.sources.files import Record, records
from plus.sources.splits import Plan
from plus.types import Dropped, Event, Population, Preference, Turn

HUB_ID = "HannahRoseKirk/prism-alignment"


@dataclass
class Exchange:
    """One turn: the prompt, and each answer as (text, rating, chosen or not)."""

    prompt: str = ""
    answers: list[tuple[str, float, bool]] = field(default_factory=list)


@dataclass
class Conversation:
    """One conversation of one user; `time` is that of its beginning, which utterances.jsonl does not give."""

    user_id: str
    exchanges: dict[int, Exchange] = field(default_factory=lambda: defaultdict(Exchange))
    time: float | None = None
    feedback: str = ""


def load(data_dir: str | Path | None = None, seed: int = 0, context_share: float = 0.5) -> Population:
    """Load the people of a folder with conversations.jsonl or utterances.jsonl, or of the Hub. Raises SourceError."""
    dropped = Dropped()
    events = by_user(
        (talk.user_id, event)
        for name, talk in _conversations(data_dir, dropped).items()
        for event in events_of(name, talk, dropped)
    )
    if not events:
        raise SourceError(
            f"{data_dir or HUB_ID} holds no PRISM choice; it needs conversations.jsonl or utterances.jsonl"
        )
    return build("prism", events, Plan(context_share=context_share, seed=seed), dropped)


def _conversations(data_dir: str | Path | None, dropped: Dropped) -> dict[str, Conversation]:
    # Conversations are preferred to utterances: they have times and feedback.
    if data_dir is None or not Path(data_dir).is_dir():
        return _from_trees(records(data_dir or HUB_ID, dropped, config="conversations"), dropped)
    trees, flat = Path(data_dir) / "conversations.jsonl", Path(data_dir) / "utterances.jsonl"
    if trees.is_file() or not flat.is_file():
        return _from_trees(records(trees, dropped), dropped)
    return _from_utterances(records(flat, dropped), dropped)


def _from_trees(rows: Iterable[Record], dropped: Dropped) -> dict[str, Conversation]:
    """From conversations.jsonl: a row is a conversation with its `conversation_history`."""
    found: dict[str, Conversation] = {}
    for where, row, _ in rows:
        try:
            found[str(row["conversation_id"])] = conversation(row)
        except (KeyError, TypeError, ValueError) as error:
            dropped.add("conversations that are not in PRISM's format", f"{where}: {error}")
    return found


def conversation(row: Mapping[str, Any]) -> Conversation:
    """Read one row of conversations.jsonl. Raises KeyError, TypeError or ValueError."""
    time, _ = seconds(row.get("generated_datetime"))
    talk = Conversation(str(row["user_id"]), time=time, feedback=str(row.get("open_feedback") or "").strip())
    # A turn holds a prompt or a rated answer.
    for turn in row["conversation_history"]:
        exchange = talk.exchanges[int(turn["turn"])]
        if turn["role"] == "user":
            exchange.prompt = str(turn["content"])
        else:
            exchange.answers.append(_answer(turn, "content"))
    return talk


def _from_utterances(rows: Iterable[Record], dropped: Dropped) -> dict[str, Conversation]:
    """From utterances.jsonl: a row is one rated answer, so a prompt comes once for each."""
    found: dict[str, Conversation] = {}
    for where, row, _ in rows:
        try:
            talk = found.setdefault(str(row["conversation_id"]), Conversation(str(row["user_id"])))
            exchange = talk.exchanges[int(row["turn"])]
            exchange.prompt = str(row["user_prompt"])
            exchange.answers.append(_answer(row, "model_response"))
        except (KeyError, TypeError, ValueError) as error:
            dropped.add("utterances that are not in PRISM's format", f"{where}: {error}")
    return found


def _answer(row: dict[str, Any], column: str) -> tuple[str, float, bool]:
    if not isinstance(row[column], str):
        raise UnusableError(f"{column} is no text")
    return row[column], float(row["score"]), bool(row["if_chosen"])


def events_of(name: str, talk: Conversation, dropped: Dropped) -> Iterator[Event]:
    """Yield the choices of one conversation in order, then the feedback; PRISM dates conversations only,
    so each turn is put a millisecond after the one before."""
    earlier: tuple[Turn, ...] = ()
    time = talk.time
    for number in sorted(talk.exchanges):
        exchange = talk.exchanges[number]
        time = None if talk.time is None else talk.time + number / 1000
        # A turn without one chosen answer ends the conversation: what follows has no known past.
        best = [answer for answer in exchange.answers if answer[2]]
        if len(best) != 1 or not best[0][0].strip() or not exchange.prompt.strip():
            dropped.add("conversations from a turn on that has no one chosen answer", f"{name} turn {number}")
            break
        # The chosen answer against each that was rated lower.
        text, score, _ = best[0]
        for place, (other, rated, chosen) in enumerate(sorted(exchange.answers)):
            if chosen:
                continue
            if rated >= score or other.strip() in ("", text.strip()):
                dropped.add(
                    "pairs that choose nothing: equal ratings or an empty or equal answer", f"{name} turn {number}"
                )
                continue
            pair = Preference(exchange.prompt, text, other, earlier)
            yield Event(f"{name}-{number}-{place}", "choice", pair, time, "prism")
        # The conversation went on from the chosen answer.
        earlier = (*earlier, Turn("user", exchange.prompt), Turn("assistant", text))
    if talk.feedback:
        yield Event(f"{name}-feedback", "remark", talk.feedback, None if time is None else time + 0.001, "prism")
