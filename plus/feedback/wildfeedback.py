"""WildFeedback: pairs of answers, and conversations whose turns are labelled.

https://huggingface.co/datasets/microsoft/WildFeedback (arXiv 2408.15549), two of its files: `wildfeedback.json`, pairs
{conversations: [{from, value}], chosen: {from, value}, rejected: {from, value}}, and `sat_dsat_annotation.json`, one row
an utterance {UtterranceId (from 0 in each conversation), TurnId, Role: User | Agent, Content, Satisfaction,
Disatisfaction, ...}, so spelt. Rows as others publish them too: pairs with the preferences stated (`user_preference`), and
messages with `sat` and `dsat`. A stated preference is a remark; a user's turn labelled satisfied or dissatisfied is a
reaction to the answer before it. No file says whose a row is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place, Said, asked_in, entries, label, said_of, stated_time, stated_user
from plus.feedback.openai_chat import spoken
from plus.sources.messages import UnusableError, text_of
from plus.types import Entry, Event, Preference

COLUMNS = ("conversations", "chosen", "rejected")
_STATED = ("user_preference", "user_preferences", "preferences")
_TALKS = ("prompt", "messages", "conversation", "conversations")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is a pair with stated preferences, or a conversation with labelled turns."""
    if "chosen" in row and "rejected" in row:
        return any(column in row for column in _STATED) or isinstance(row.get("conversations"), list)
    talk = _talk(row)
    return isinstance(talk, list) and any(isinstance(one, dict) and ("sat" in one or "dsat" in one) for one in talk)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The events of one row. Raises UnusableError."""
    user_id = place.whose(row.get("hashed_ip"), *stated_user(row))
    time, session = place.time(stated_time(row)), label(row.get("conversation_hash") or row.get("conversation_id"))
    if "chosen" not in row:
        yield from _labelled(_talk(row), user_id, session, time, place)
        return
    talk = _talk(row)
    messages = [{"role": "user", "content": talk}] if isinstance(talk, str) else talk
    asked, earlier = asked_in(spoken(messages, place, time))
    chosen, rejected = (_answer(row[column], place) for column in COLUMNS[1:])
    if asked is None or not chosen.strip() or not rejected.strip() or chosen == rejected:
        raise UnusableError("rows whose answers are empty or equal")
    event = Event("", "choice", Preference(asked.content, chosen, rejected, earlier), time, "wildfeedback")
    yield Entry(user_id, event, session)
    for number, stated in enumerate(_stated(row)):
        name = f"stated-{session}-{number}" if session else ""
        yield Entry(user_id, Event(name, "remark", text_of(stated, "preference"), time, "wildfeedback"), session)


def is_utterance(row: Mapping[str, Any]) -> bool:
    """Whether a row is one utterance of `sat_dsat_annotation.json`."""
    return "Role" in row and "Content" in row and _number(row) is not None


def conversations(rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, row)s with the utterances of a conversation, which follow each other, as one row of labelled messages."""
    where, talk = "", list[dict[str, Any]]()
    for place, row in rows:
        if not is_utterance(row):
            if talk:
                yield where, {"messages": talk}
            talk = []
            yield place, row
            continue
        if talk and _number(row) == 0:
            yield where, {"messages": talk}
            talk = []
        where = where if talk else place
        talk.append(_message(row))
    if talk:
        yield where, {"messages": talk}


def _number(row: Mapping[str, Any]) -> int | None:
    value = next((row[name] for name in ("UtterranceId", "UtteranceId") if name in row), None)
    return value if isinstance(value, int) else None


def _message(row: Mapping[str, Any]) -> dict[str, Any]:
    dsat = next((row[name] for name in ("Disatisfaction", "Dissatisfaction") if name in row), False)
    role = "user" if row["Role"] == "User" else "assistant" if row["Role"] == "Agent" else row["Role"]
    return {"role": role, "content": row["Content"], "sat": _yes(row.get("Satisfaction")), "dsat": _yes(dsat)}


def _yes(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "yes"))


def _labelled(talk: Any, user_id: str, session: str, time: float | None, place: Place) -> Iterator[Entry]:
    """A conversation in which the turns after an answer say what it was worth."""
    said: list[Said] = []
    for message in talk:
        one = said_of(message, place, time)
        if one is None:
            continue
        happy, unhappy = bool(message.get("sat")), bool(message.get("dsat"))
        if one.role == "user" and happy != unhappy and said and said[-1].role == "assistant":
            said[-1] = said[-1]._replace(rating=happy)
        elif happy and unhappy:
            place.drop("turns labelled satisfied and dissatisfied at once")
        said.append(one)
    yield from entries(said, user_id, "wildfeedback", session, place)


def _talk(row: Mapping[str, Any]) -> Any:
    return next((row[column] for column in _TALKS if row.get(column) is not None), None)


def _answer(value: Any, place: Place) -> str:
    if isinstance(value, str):
        return text_of(value, "answer")
    messages = value if isinstance(value, list) else [value]
    said = [one for message in messages if (one := said_of(message, place)) is not None]
    return said[-1].content if said and said[-1].role == "assistant" else ""


def _stated(row: Mapping[str, Any]) -> list[str]:
    value = next((row[column] for column in _STATED if row.get(column) is not None), ())
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [one for one in values if isinstance(one, str) and one.strip()]
