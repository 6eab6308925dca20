"""Rows of published data sets of judgments: PRISM, Chatbot Arena, UltraFeedback and OpenAssistant (OASST).

PRISM's and Arena's rows name who chose. UltraFeedback's ratings are a model's and OASST's ranks are a crowd's: they are
choices of the user that --user_id names, and counted without one. What people wrote in OASST is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from plus.feedback.conversation import last_question
from plus.feedback.log_row import LogMessage, ParseState, id_text, stated_time
from plus.sources import arena, prism
from plus.sources.fields import UnusableError, text_of
from plus.types import Dropped, Entry, Event, Preference, Turn

PRISM_COLUMNS = ("conversation_history", "user_id", "conversation_id")
ARENA_COLUMNS = ("conversation_a", "conversation_b", "winner", "judge")
ULTRAFEEDBACK_COLUMNS = ("instruction", "completions")
OASST_COLUMNS = ("message_tree_id", "prompt")
NOBODYS = "judgments of a model or a crowd (say whose they are taken to be with --user_id)"
_OASST_MESSAGE = ("message_id", "parent_id", "user_id", "text", "role", "rank", "created_date", "deleted")


def is_prism(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is one of PRISM's conversations."""
    return isinstance(row.get("conversation_history"), list) and "conversation_id" in row


def read_prism(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the choices of one conversation, and its open feedback. Raises UnusableError."""
    user_id = state.user(row.get("user_id"), row=row)
    try:
        talk = prism.conversation({**row, "user_id": user_id})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnusableError("conversations that are not in PRISM's format") from error
    name, dropped = id_text(row["conversation_id"]), Dropped()
    for event in prism.events_of(name, talk, dropped):
        pair = event.content
        texts = (pair.prompt, pair.chosen, pair.rejected) if isinstance(pair, Preference) else (str(pair),)
        for text in texts:
            text_of(text, "content")
        yield Entry(user_id, event, name)
    for reason in dropped.elements():
        state.drop(reason)


def is_arena(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a battle of Chatbot Arena."""
    return all(column in row for column in ARENA_COLUMNS[:3])


def read_arena(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the choice of one battle. Raises UnusableError."""
    found = arena.choice({**row, "judge": state.user(row.get("judge"), row=row)})
    yield Entry(found.user_id, found.event, found.session_id)


def is_ultrafeedback(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an instruction of UltraFeedback with its rated answers."""
    return isinstance(row.get("instruction"), str) and isinstance(row.get("completions"), list)


def read_ultrafeedback(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the choice of the best rated answer over each that was rated lower. Raises UnusableError."""
    if not state.user_id:
        raise UnusableError(NOBODYS)
    answers = []
    for one in row["completions"]:
        score = _number(one.get("overall_score", one.get("fine-grained_score"))) if isinstance(one, dict) else None
        if score is not None and isinstance(one.get("response"), str) and one["response"].strip():
            answers.append((score, text_of(one["response"], "response")))
        else:
            state.drop("answers without a text or a score")
    prompt = text_of(row["instruction"], "instruction")
    best = max(answers, default=(0.0, ""))
    pairs = [Preference(prompt, best[1], text) for score, text in answers if score < best[0] and text != best[1]]
    if not pairs:
        raise UnusableError("rows whose answers have equal scores")
    for pair in dict.fromkeys(pairs):
        yield Entry(state.user_id, Event("", "choice", pair, None, "ultrafeedback"))


def is_oasst(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a tree of OASST."""
    return "message_tree_id" in row and isinstance(row.get("prompt"), dict)


def oasst_part(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Read (tree, message) from one message of OASST's flat files; None for a row that is none."""
    if "message_tree_id" not in row or "message_id" not in row or "text" not in row:
        return None
    return id_text(row["message_tree_id"]), {name: row.get(name) for name in _OASST_MESSAGE}


def grow_oasst(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Build the tree of messages that name their parents; the first is its root."""
    by_id = {message["message_id"]: message for message in messages if isinstance(message.get("message_id"), str)}
    for message in messages[1:]:
        parent = message.get("parent_id")
        above = by_id.get(parent) if isinstance(parent, str) else None
        if above is not None and above is not message:
            above.setdefault("replies", []).append(message)
    return {"message_tree_id": messages[0].get("message_id"), "prompt": messages[0]}


def read_oasst(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read what each person wrote with the answer of the best rank, and the ranks as choices. Raises UnusableError."""
    session, seen = id_text(row["message_tree_id"]), set[int]()
    waiting: list[tuple[list[LogMessage], Any]] = [([], row["prompt"])]
    while waiting:
        before, message = waiting.pop()
        if not isinstance(message, dict) or id(message) in seen:
            continue
        seen.add(id(message))
        role = "user" if message.get("role") == "prompter" else "assistant"
        said = LogMessage(role, text_of(message.get("text"), "text"), id_text(message.get("message_id")))
        answers = message.get("replies")
        replies = [reply for reply in answers if isinstance(reply, dict)] if isinstance(answers, list) else []
        ranked = sorted(replies, key=_rank)
        if role == "user":
            user_id = state.user(message.get("user_id"))
            answer = (Turn("assistant", text_of(ranked[0].get("text"), "text")),) if ranked else ()
            time = state.time(message.get("created_date", stated_time(message)))
            turns = (Turn("user", said.content), *answer)
            yield Entry(user_id, Event(f"said-{said.id}", "message", turns, time, "oasst"), session)
            yield from _choices([*before, said], ranked, session, state)
        waiting += [([*before, said], reply) for reply in reversed(replies)]


def _choices(
    before: list[LogMessage], ranked: list[dict[str, Any]], session: str, state: ParseState
) -> Iterator[Entry]:
    """Pair each ranked answer with those of lower ranks next to it."""
    ranked = [reply for reply in ranked if _number(reply.get("rank")) is not None]
    asked, earlier = last_question(before)
    for better, worse in pairwise(ranked):
        if asked is None or better["rank"] == worse["rank"] or better.get("text") == worse.get("text"):
            state.drop("ranks that choose nothing")
        elif not state.user_id:
            state.drop(NOBODYS)
        else:
            chosen, rejected = (text_of(reply.get("text"), "text") for reply in (better, worse))
            name = f"{id_text(better.get('message_id'))}-{id_text(worse.get('message_id'))}"
            pair = Preference(asked.content, chosen, rejected, earlier)
            yield Entry(state.user_id, Event(f"ranked-{name}", "choice", pair, None, "oasst"), session)


def _rank(reply: Mapping[str, Any]) -> float:
    rank = _number(reply.get("rank"))
    return float("inf") if rank is None else rank


def _number(value: Any) -> float | None:
    """Return a number as a float; None for anything else, NaN and numbers beyond a float."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if is_number else None
