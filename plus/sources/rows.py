"""Rows read into events, and events written as rows.

Reading takes TRL's columns in every shape that TRL takes. Preferences: `prompt`, `chosen`,
`rejected` (explicit) or `chosen`, `rejected` that both hold the prompt (implicit), as text (standard)
or as messages (conversational); texts of dialogues ("Human: ...") become turns. Reactions: `prompt`,
`completion`, `label`, or `messages` and `label`. Unlabelled conversations: `messages`, or ShareGPT's
`conversations`. Formats: https://huggingface.co/docs/trl/dataset_formats

Writing has one format: the same columns as messages, plus `id`, `user_id`, `session_id`,
`timestamp`, `source` and `split`. `trl reward` trains on the choices as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plus.sources.fields import UnusableError, answer_of, dialogue, label_of, seconds, text_of, turns_of
from plus.types import Event, EventKind, Message, Preference, Prompt, Reaction, Split, Turn

Content = Preference | Reaction | tuple[Turn, ...]
REACTION, CONVERSATION = "reactions", "unlabelled conversations"
NEITHER = "rows with neither {chosen, rejected}, {completion, label} nor {messages}"
_sorted = json.JSONEncoder(sort_keys=True).encode
TIMES = ("timestamp", "created_at", "tstamp", "time")  # usual names of the time
READ = frozenset((
    "user_id", "prompt", "chosen", "rejected", "completion", "label", "messages", "conversations", "session_id", "id",
    "source", "split", *TIMES,
))  # columns that some shape reads  # fmt: skip
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "eval"), "validation"),
    "test": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A usable row: user, event, session, split, the shape that it came in and how its time was written.

    `event.id` is "" where the row has no id.
    """

    user_id: str
    event: Event
    session_id: str
    split: Split | None
    shape: str
    time_format: str


def read_row(row: Mapping[str, Any], user_id_column: str = "user_id", split: str = "", source: str = "") -> Row:
    """Read one row; `split` and `source` are used where the row names none.

    Raises UnusableError with the reason.
    """
    row = {name: value for name, value in row.items() if value is not None}
    user_id = user_id_of(row, user_id_column)
    # Time and id have several usual names.
    shape, content = read_content(row)
    time, time_format = seconds(next((row[c] for c in TIMES if c in row), None))
    kind: EventKind = (
        "choice" if isinstance(content, Preference) else "reaction" if isinstance(content, Reaction) else "message"
    )
    event = Event(_label(row.get("id")), kind, content, time, _label(row.get("source", source)))
    return Row(user_id, event, _label(row.get("session_id")), split_name(row.get("split", split)), shape, time_format)


def user_id_of(row: Mapping[str, Any], column: str = "user_id") -> str:
    """Read the user's id as text, so 7 and "7" are one user. Raises UnusableError with the reason."""
    value = row.get(column)
    if value is None:
        raise UnusableError(f"rows without a {column!r}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # As tables write whole numbers once a value is missing somewhere.
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise UnusableError(f"rows whose {column!r} is neither text nor a whole number")
    return text_of(str(value), column)


def read_content(row: Mapping[str, Any]) -> tuple[str, Content]:
    """Read (shape, content) by the columns that a row has. Raises UnusableError."""
    # The columns tell the kind of row.
    if "chosen" in row and "rejected" in row:
        return _preference(row)
    if "completion" in row and "label" in row:
        asked = row.get("prompt", "")
        prompt, earlier = _asked(turns_of(asked, "prompt"))
        completion = _answer(row["completion"], "completion")
        completion = answer_of(completion, asked) if isinstance(asked, str) else completion
        return REACTION, Reaction(prompt, completion, label_of(row["label"]), earlier)
    if "messages" in row or "conversations" in row:
        column = "messages" if "messages" in row else "conversations"
        turns = turns_of(row[column], column)
        if not any(turn.content.strip() for turn in turns):
            raise UnusableError("rows with an empty conversation")
        # The label of a conversation is one of its last answer.
        if "label" in row and turns[-1].role == "assistant":
            prompt, earlier = _asked(turns[:-1])
            return REACTION, Reaction(prompt, turns[-1].content, label_of(row["label"]), earlier)
        return CONVERSATION, turns
    raise UnusableError(NEITHER)


def as_row(user_id: str, event: Event, split: Split | None, session_id: str = "") -> dict[str, Any]:
    """Write one event as a row; every text is a message, so that one column has one type."""
    shared = {
        "id": event.id, "user_id": user_id, "session_id": session_id, "timestamp": event.time,
        "source": event.source, "split": split,
    }  # fmt: skip
    match event.content:
        case Preference(_, chosen, rejected):
            asked = _messages(event.content.conversation)
            return {"prompt": asked, "chosen": _assistant(chosen), "rejected": _assistant(rejected), **shared}
        case Reaction(prompt, completion, label, earlier):
            asked = _messages((*earlier, Turn("user", prompt)))
            return {"prompt": asked, "completion": _assistant(completion), "label": label, **shared}
        case content:
            return {"messages": _messages(content), **shared}


def split_name(value: Any) -> Split | None:
    """Return train, validation or test for any of their usual names; None for anything else."""
    return _SPLITS.get(str(value).lower())


def content_id(user_id: str, event: Event, number: int = 1) -> str:
    """Hash user, time and content into an id of 16 hexadecimal digits, which does not depend on the place of the row.

    number: 2 for the second event of the user that is equal to another one, and so on.
    """
    return content_hash(user_id, event.time, encode_content(event), number)


def encode_content(event: Event) -> str:
    """Encode what an event says as the JSON that `content_hash` takes."""
    match event.content:
        case Preference() | Reaction() as content:
            # As `asdict`, without its deep copies.
            return _sorted({**vars(content), "earlier": [vars(turn) for turn in content.earlier]})
        case str(text):
            return _sorted([event.kind, text])
        case turns:
            # Text by text, for which the encoder has a quicker way.
            return f"[{', '.join([_sorted(turn.content) for turn in turns])}]"


def content_hash(user_id: str, time: float | None, content: str, number: int = 1) -> str:
    """Hash user, time and encoded content, see `content_id`."""
    key = f"[{_sorted(user_id)}, {'null' if time is None else _sorted(float(time))}, {content}"
    return hashlib.sha256(f"{key}, {number}]".encode() if number > 1 else f"{key}]".encode()).hexdigest()[:16]


def _preference(row: Mapping[str, Any]) -> tuple[str, Preference]:
    chosen, rejected, prompt = row["chosen"], row["rejected"], row.get("prompt")
    # Texts, which hold the prompt where it has no column.
    if isinstance(chosen, str) and isinstance(rejected, str):
        if prompt is None:
            one, two = dialogue(text_of(chosen, "chosen")), dialogue(text_of(rejected, "rejected"))
            if one and two:
                return "dialogues as text, implicit prompt", _implicit(one, two)
            pair = Preference(*_common_prefix(text_of(chosen, "chosen"), text_of(rejected, "rejected")))
            return "standard preference, implicit prompt", _sound(pair)
        kind = "standard" if isinstance(prompt, str) else "conversational"
    else:
        one, two = turns_of(chosen, "chosen"), turns_of(rejected, "rejected")
        # As in TRL: a text prompt beside whole dialogues repeats what they hold.
        if (prompt is None or isinstance(prompt, str)) and max(len(one), len(two)) > 1:
            return "conversational preference, implicit prompt", _implicit(one, two)
        kind = "conversational"
    # The prompt has a column: each side is one answer.
    asked, earlier = _asked(turns_of("" if prompt is None else prompt, "prompt"))
    answers = _answer(chosen, "chosen"), _answer(rejected, "rejected")
    # Both answers of some rows repeat the prompt.
    if isinstance(prompt, str) and all(answer_of(answer, prompt) != answer for answer in answers):
        answers = answer_of(answers[0], prompt), answer_of(answers[1], prompt)
    pair = Preference(asked, *answers, earlier)
    return f"{kind} preference, explicit prompt", _sound(pair)


def _implicit(one: tuple[Turn, ...], two: tuple[Turn, ...]) -> Preference:
    """The turns that both dialogues begin with are the prompt; one answer on each side follows."""
    # Number of turns that both begin with.
    same = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    if one == two:
        raise UnusableError("rows whose chosen answer equals the rejected one")
    if len(one) != same + 1 or len(two) != same + 1 or {one[-1].role, two[-1].role} != {"assistant"}:
        raise UnusableError("rows whose dialogues differ in more than the last answer")
    prompt, earlier = _asked(one[:same])
    return _sound(Preference(prompt, one[-1].content, two[-1].content, earlier))


def _common_prefix(chosen: str, rejected: str) -> tuple[str, str, str]:
    """TRL's `extract_prompt` for texts: the common beginning, without the space before the answers."""
    shorter = min(len(chosen), len(rejected))
    cut = next((n for n in range(shorter) if chosen[n] != rejected[n]), shorter)
    cut -= cut > 0 and chosen[cut - 1] == " "
    return chosen[:cut], chosen[cut:], rejected[cut:]


def _asked(turns: tuple[Turn, ...]) -> tuple[str, tuple[Turn, ...]]:
    """(the user's last turn, the turns before it)."""
    if not turns or turns[-1].role != "user":
        raise UnusableError("rows whose prompt does not end with the user's turn")
    return turns[-1].content, turns[:-1]


def _answer(value: Any, column: str) -> str:
    if isinstance(value, str):
        text = text_of(value, column)
    else:
        turns = turns_of(value, column)
        if len(turns) != 1 or turns[0].role != "assistant":
            raise UnusableError(f"rows whose {column!r} is not one turn of the assistant")
        text = turns[0].content
    if not text.strip():
        raise UnusableError("rows with an empty answer")
    return text


def _sound(pair: Preference) -> Preference:
    if not pair.chosen.strip() or not pair.rejected.strip():
        raise UnusableError("rows with an empty answer")
    if pair.chosen == pair.rejected:
        raise UnusableError("rows whose chosen answer equals the rejected one")
    return pair


def _label(value: Any) -> str:
    """An id, session or source as text; "" for any other type."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        text = str(value)
        return text if text.isascii() else text.encode("utf-8", "replace").decode()
    return ""


def _messages(content: Prompt) -> list[Message]:
    turns = (Turn("user", content),) if isinstance(content, str) else content
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]
