"""Langfuse: traces or observations with their input and output, and the users' scores on them.

Three exports are read: the tables' (JSON, JSONL, CSV: `userId`, `sessionId`, `input`, `output`, `scores`), a
trace's download ({trace, observations}) and the blob storage's (`observations_v2/`, `traces/`, `scores/`: `user_id`,
`trace_id`, `data_type`). The last has scores and traces in files of their own; give all. A trace is one exchange: its
own input and output, or those of its root; what its inner calls and tools are given is nothing that a user said.
https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries
from plus.feedback.envelopes import first, read_answer, read_question
from plus.feedback.log_row import LogMessage, ParseState, decoded, id_text, inside, stated_user, user_text
from plus.feedback.messages import require_user
from plus.feedback.reactions import NEITHER, OVERRULED, DetachedReaction, LastReactions, parse_thumb, read_score
from plus.feedback.talks import Traces
from plus.sources.fields import UnusableError, text_of
from plus.types import Entry

COLUMNS = ("id", "input", "output")
SCORE_COLUMNS = ("name", "value", "trace_id")
DOWNLOAD_COLUMNS = ("trace", "observations")
INNER = "observations inside a trace, which is read at its root"
# How likely a row is the exchange of its trace: the trace itself, then by type of its root, then inner answers.
_TRACE, _ANSWERED, _INNER_GENERATION = 40, 100, 5
_ROOTS = {"AGENT": 30, "CHAIN": 30, "GENERATION": 20, "SPAN": 10}


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a trace or an observation."""
    return "input" in row and "output" in row and "id" in row and row.get("object") is None


def is_score(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a score."""
    about = first(row, "trace_id", "traceId", "observation_id", "observationId")
    return about is not None and "name" in row and any(name in row for name in ("value", "string_value", "stringValue"))


def is_download(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is the download of one trace."""
    return isinstance(row.get("trace"), dict) and isinstance(row.get("observations"), list)


def expand(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows that the download of a trace holds: the trace and its observations."""
    trace = row["trace"]
    yield {"input": None, "output": None, **trace}
    for observation in row["observations"]:
        if isinstance(observation, dict):
            yield {"input": None, "output": None, "traceId": trace.get("id"), **observation}


def detached_reaction(row: Mapping[str, Any], state: ParseState) -> DetachedReaction | None:
    """Read a user's score; None, counted, for any other and for one that is neither yes nor no."""
    score, why_not = read_score(row, state.thumbs)
    if why_not:
        state.drop(why_not, score.name)
        return None
    about = id_text(first(row, "trace_id", "traceId")) or id_text(first(row, "observation_id", "observationId"))
    label = parse_thumb(score.value)
    if label is None or not about:
        state.drop(NEITHER)
        return None
    time = state.time(first(row, "timestamp", "updated_at", "updatedAt", "created_at", "createdAt"))
    comment = text_of(score.comment, "comment")
    return DetachedReaction(about, label, time, comment)


def learn(row: Mapping[str, Any], traces: Traces, user_column: str = "") -> None:
    """Learn what one row tells of its trace: user, session, and how likely the row is the exchange."""
    state = ParseState()
    try:
        stated = (inside(row, user_column),) if user_column else stated_user(row)
        user_id = next((found for value in stated if (found := user_text(value)) is not None), None)
        user_id = user_id and text_of(user_id[:1000], "user")
        rank, time = _rank(row, state), state.time(_time(row)) or 0.0
        traces.add(_trace_of(row), user_id, _session(row) or None, _key(row), rank, time)
    except UnusableError:
        pass  # It is counted when the row is read.


def read(row: Mapping[str, Any], state: ParseState, last: LastReactions) -> Iterator[Entry]:
    """Read the exchange of one trace and the reaction to it. Raises UnusableError."""
    trace = _trace_of(row)
    known = last.traces.find(trace)
    if known is not None and known.exchange != _key(row):
        raise UnusableError(INNER)
    if _rank(row, ParseState()) < 0:
        raise UnusableError("observations that are no answer of a model")
    # 1. User, time and messages of the trace.
    stated = stated_user(row)
    user_id = known.user_id if known and known.user_id else state.user(*stated, row=row)
    time = state.time(_time(row))
    talk = _talk(row, state, time)
    session = _session(row) or (known.session if known else "")
    # 2. Its reaction is one to the last answer, under the id of the trace.
    if talk[-1].role == "assistant":
        talk[-1] = talk[-1]._replace(id=trace)
        if (found := _reaction(row, trace, state, last)) is not None:
            talk[-1] = talk[-1]._replace(rating=found.label, comment=found.comment)
    yield from entries(talk, Origin(user_id, "langfuse", session, trace), state)


def _talk(row: Mapping[str, Any], state: ParseState, time: float | None) -> list[LogMessage]:
    talk = [*read_question(row["input"], state, time), *read_answer(row["output"], state, time)]
    require_user(talk)
    return talk


def _rank(row: Mapping[str, Any], state: ParseState) -> int:
    """Rank a row among those of its trace; -1 for one that cannot be its exchange."""
    kind = str(row.get("type") or "GENERATION").upper()
    if _is_trace(row):
        rank = _TRACE
    elif kind not in _ROOTS:
        return -1
    elif first(row, "parentObservationId", "parent_observation_id") is None:
        rank = _ROOTS[kind]
    else:
        rank = _INNER_GENERATION if kind == "GENERATION" else 0
    try:
        return rank + _ANSWERED * (_talk(row, state, None)[-1].role == "assistant")
    except UnusableError:
        return -1


def _is_trace(row: Mapping[str, Any]) -> bool:
    return first(row, "traceId", "trace_id") is None


def _trace_of(row: Mapping[str, Any]) -> str:
    return id_text(first(row, "traceId", "trace_id", "id"))


def _key(row: Mapping[str, Any]) -> str:
    return f"{'trace' if _is_trace(row) else 'observation'} {id_text(row['id'])}"


def _session(row: Mapping[str, Any]) -> str:
    return id_text(first(row, "sessionId", "session_id"))


def _time(row: Mapping[str, Any]) -> Any:
    return first(row, "timestamp", "startTime", "start_time", "createdAt", "created_at")


def _reaction(row: Mapping[str, Any], trace: str, state: ParseState, last: LastReactions) -> DetachedReaction | None:
    """Find the score of a row: one from a file of scores, else the last one in the row's own column."""
    for name in (trace, id_text(row.get("id"))):
        if (found := last.take(name)) is not None:
            return found
    found = None
    for value in _own_scores(decoded(row.get("scores"))):
        score, why_not = read_score(value, state.thumbs)
        label = None if why_not else state.votes.vote(f"score {score.name}", score.value)
        if why_not or label is None:
            state.drop(why_not or NEITHER, score.name if why_not else None)
            continue
        # The last score wins, as with scores in a file.
        if found is not None:
            state.drop(OVERRULED)
        found = DetachedReaction("", label, None, text_of(score.comment, "comment"))
    return found


def _own_scores(scores: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the scores in a row's column: a list of objects, or {name: value or values}."""
    if isinstance(scores, list):
        yield from (score for score in scores if isinstance(score, dict))
    elif isinstance(scores, dict):
        for name, value in scores.items():
            yield from ({"name": name, "value": one} for one in (value if isinstance(value, list) else [value]))
