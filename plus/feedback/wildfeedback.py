"""WildFeedback: pairs of answers, and conversations with labels of satisfaction on each turn.

Two files of https://huggingface.co/datasets/microsoft/WildFeedback (arXiv 2408.15549) are read:

    wildfeedback.json           {conversations: [{from, value}], chosen: {from, value}, rejected: {from, value}}
    sat_dsat_annotation.json    one row an utterance: {UtterranceId (from 0 in each conversation), TurnId,
                                Role: User | Agent, Content, Satisfaction, Disatisfaction, ...}, spelt like this

So are two variants that others publish: pairs with `user_preference`, and messages with `sat` and `dsat`. A stated
preference is a remark; a user's turn labelled satisfied or dissatisfied is a reaction to the answer before it. No file
states a user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries, last_question
from plus.feedback.log_row import LogMessage, ParseState, id_text, stated_time, stated_user
from plus.feedback.messages import parse_message, parse_messages
from plus.sources.fields import UnusableError, text_of
from plus.types import Entry, Event, Preference

COLUMNS = ("conversations", "chosen", "rejected")
_STATED = ("user_preference", "user_preferences", "preferences")
_TALKS = ("prompt", "messages", "conversation", "conversations")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a WildFeedback pair or a conversation with labelled turns."""
    if "chosen" in row and "rejected" in row:
        return any(column in row for column in _STATED) or isinstance(row.get("conversations"), list)
    talk = _talk(row)
    return isinstance(talk, list) and any(isinstance(one, dict) and ("sat" in one or "dsat" in one) for one in talk)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one row. Raises UnusableError."""
    user_id = state.user(row.get("hashed_ip"), *stated_user(row), row=row)
    time, session = state.time(stated_time(row)), id_text(row.get("conversation_hash") or row.get("conversation_id"))
    if "chosen" not in row:
        yield from _labelled(_talk(row), Origin(user_id, "wildfeedback", session), time, state)
        return
    # A pair: the last question of the conversation is its prompt.
    talk = _talk(row)
    messages = [{"role": "user", "content": talk}] if isinstance(talk, str) else talk
    asked, earlier = last_question(parse_messages(messages, state, time))
    chosen, rejected = (_answer(row[column], state) for column in COLUMNS[1:])
    if asked is None or not chosen.strip() or not rejected.strip() or chosen == rejected:
        raise UnusableError("rows whose answers are empty or equal")
    event = Event("", "choice", Preference(asked.content, chosen, rejected, earlier), time, "wildfeedback")
    yield Entry(user_id, event, session)
    # Each stated preference is a remark.
    for number, stated in enumerate(_stated(row)):
        name = f"stated-{session}-{number}" if session else ""
        yield Entry(user_id, Event(name, "remark", text_of(stated, "preference"), time, "wildfeedback"), session)


def is_utterance(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is one utterance of `sat_dsat_annotation.json`."""
    return "Role" in row and "Content" in row and _number(row) is not None


def join_utterances(rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Join consecutive utterances of a conversation to one row of labelled messages; other rows pass unchanged.

    Takes and yields (location, row); a joined row has the location of its first utterance.
    """
    first, talk = "", list[dict[str, Any]]()
    for where, row in rows:
        if not is_utterance(row):
            if talk:
                yield first, {"messages": talk}
            talk = []
            yield where, row
            continue
        # Utterance 0 begins the next conversation.
        if talk and _number(row) == 0:
            yield first, {"messages": talk}
            talk = []
        first = first if talk else where
        talk.append(_message(row))
    if talk:
        yield first, {"messages": talk}


def _number(row: Mapping[str, Any]) -> int | None:
    value = next((row[name] for name in ("UtterranceId", "UtteranceId") if name in row), None)
    return value if isinstance(value, int) else None


def _message(row: Mapping[str, Any]) -> dict[str, Any]:
    dsat = next((row[name] for name in ("Disatisfaction", "Dissatisfaction") if name in row), False)
    role = "user" if row["Role"] == "User" else "assistant" if row["Role"] == "Agent" else row["Role"]
    return {"role": role, "content": row["Content"], "sat": _yes(row.get("Satisfaction")), "dsat": _yes(dsat)}


def _yes(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "yes"))


def _labelled(talk: Any, origin: Origin, time: float | None, state: ParseState) -> Iterator[Entry]:
    """Read a conversation in which the label of a user's turn is the rating of the answer before it."""
    messages: list[LogMessage] = []
    for message in talk:
        parsed = parse_message(message, state, time)
        if parsed is None:
            continue
        # A turn with one of both labels rates the answer before it.
        satisfied, dissatisfied = bool(message.get("sat")), bool(message.get("dsat"))
        rates_answer = parsed.role == "user" and messages and messages[-1].role == "assistant"
        if rates_answer and satisfied != dissatisfied:
            messages[-1] = messages[-1]._replace(rating=satisfied)
        elif satisfied and dissatisfied:
            state.drop("turns labelled satisfied and dissatisfied at once")
        messages.append(parsed)
    yield from entries(messages, origin, state)


def _talk(row: Mapping[str, Any]) -> Any:
    return next((row[column] for column in _TALKS if row.get(column) is not None), None)


def _answer(value: Any, state: ParseState) -> str:
    if isinstance(value, str):
        return text_of(value, "answer")
    messages = value if isinstance(value, list) else [value]
    parsed = [one for message in messages if (one := parse_message(message, state)) is not None]
    return parsed[-1].content if parsed and parsed[-1].role == "assistant" else ""


def _stated(row: Mapping[str, Any]) -> list[str]:
    value = next((row[column] for column in _STATED if row.get(column) is not None), ())
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [one for one in values if isinstance(one, str) and one.strip()]
