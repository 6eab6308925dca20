"""Log formats: recognition of a row's format, rows that are joined or taken apart first, formats that are not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from plus.feedback import (
    chatgpt,
    chats,
    claude,
    langfuse,
    openai_calls,
    own_rows,
    self_hosted,
    surveys,
    wildfeedback,
)
from plus.feedback.log_row import ParseState
from plus.feedback.reactions import DetachedReaction, LastReactions
from plus.types import Entry

Row = Mapping[str, Any]
Reader = Callable[[Row, ParseState, LastReactions], Iterator[Entry]]
MOST_JOINED = 200_000  # messages of one talk that are held at a time


class Format(NamedTuple):
    """Log format: the columns a row must hold, its test and its reader, and a reader of detached reactions.

    `read` is None where a row holds detached reactions only.
    """

    columns: tuple[str, ...]
    is_mine: Callable[[Row], bool]
    read: Reader | None
    detached: Callable[[Row, ParseState], DetachedReaction | None] | None = None


def _plain(read: Callable[[Row, ParseState], Iterator[Entry]]) -> Reader:
    return lambda row, state, last: read(row, state)  # Most formats have no detached reactions.


def _joined(name: str) -> Callable[[Row], bool]:
    return lambda row: row.get("joined") == name


# The first format that recognises a row reads it, so the more specific ones come first.
FORMATS = {
    "chatgpt": Format(chatgpt.COLUMNS, chatgpt.is_mine, chatgpt.read),
    "chatgpt_feedback": Format(chatgpt.FEEDBACK_COLUMNS, chatgpt.is_feedback, None, chatgpt.detached_reaction),
    "chatgpt_comparison": Format(chatgpt.COMPARISON_COLUMNS, chatgpt.is_comparison, None, chatgpt.comparison),
    "open_webui": Format(self_hosted.COLUMNS, self_hosted.is_mine, _plain(self_hosted.read)),
    "open_webui_feedback": Format(
        self_hosted.FEEDBACK_COLUMNS, self_hosted.is_feedback, self_hosted.read_feedback, self_hosted.detached_reaction
    ),
    "librechat": Format(
        self_hosted.LIBRECHAT_COLUMNS, self_hosted.is_librechat, _plain(self_hosted.read_librechat)
    ),
    "claude": Format(claude.COLUMNS, claude.is_mine, _plain(claude.read)),
    "claude_code": Format(claude.CODE_COLUMNS, _joined("claude_code"), _plain(claude.read_code)),
    "codex": Format(openai_calls.CODEX_COLUMNS, _joined("codex"), _plain(openai_calls.read_codex)),
    "openai_preference": Format(
        openai_calls.PREFERENCE_COLUMNS, openai_calls.is_preference, _plain(openai_calls.read_preference)
    ),
    "openai_call": Format(openai_calls.CALL_COLUMNS, openai_calls.is_call, _plain(openai_calls.read_call)),
    "wildfeedback": Format(wildfeedback.COLUMNS, wildfeedback.is_mine, _plain(wildfeedback.read)),
    "wildchat": Format(chats.WILDCHAT_COLUMNS, chats.is_wildchat, _plain(chats.read_wildchat)),
    "prism": Format(surveys.PRISM_COLUMNS, surveys.is_prism, _plain(surveys.read_prism)),
    "arena": Format(surveys.ARENA_COLUMNS, surveys.is_arena, _plain(surveys.read_arena)),
    "ultrafeedback": Format(
        surveys.ULTRAFEEDBACK_COLUMNS, surveys.is_ultrafeedback, _plain(surveys.read_ultrafeedback)
    ),
    "oasst": Format(surveys.OASST_COLUMNS, surveys.is_oasst, _plain(surveys.read_oasst)),
    "langfuse": Format(langfuse.COLUMNS, langfuse.is_mine, langfuse.read),
    "langfuse_scores": Format(langfuse.SCORE_COLUMNS, langfuse.is_score, None, langfuse.detached_reaction),
    "rows": Format(own_rows.COLUMNS, own_rows.is_mine, _plain(own_rows.read)),
    "openai_chat": Format(chats.OPENAI_COLUMNS, chats.is_openai_chat, _plain(chats.read_openai_chat)),
    "sharegpt": Format(chats.SHAREGPT_COLUMNS, chats.is_sharegpt, _plain(chats.read_sharegpt)),
    "flat": Format(own_rows.FLAT_COLUMNS, own_rows.is_flat, _plain(own_rows.read_flat)),
}  # fmt: skip
# Columns of which a row of a format has at least one.
_MARKS = {name: frozenset(kind.columns[:1]) for name, kind in FORMATS.items()} | {
    "chatgpt_feedback": frozenset(["rating"]), "chatgpt_comparison": frozenset(["original_message_id", "output"]),
    "open_webui_feedback": frozenset(["snapshot"]),
    "claude": frozenset(["chat_messages"]), "claude_code": frozenset(["joined"]), "codex": frozenset(["joined"]),
    "openai_call": frozenset(["object", "request", "request_body", "body", "req"]),
    "wildfeedback": frozenset(["chosen", "prompt", "messages", "conversation", "conversations"]),
    "wildchat": frozenset(["conversation"]), "oasst": frozenset(["message_tree_id"]),
    "rows": frozenset(["chosen", "completion"]),
    "sharegpt": frozenset(["conversations", "conversation", "items"]), "flat": frozenset(own_rows.ANSWERS),
}  # fmt: skip
_candidates: dict[tuple[str, ...], tuple[str, ...]] = {}
_COMMON = ("", "rows", "openai_chat", "sharegpt", "flat")  # Their rows could also be of a more specific format.
# Formats that are known and not read, each with what to do.
_KNOWN: tuple[tuple[Callable[[Row], bool], str], ...] = (
    (lambda row: "header" in row and "products" in row,
     "Google Takeout's MyActivity.json, which cuts answers; write rows of {prompt, completion}"),
    (lambda row: "resourceSpans" in row, "OpenTelemetry's export of spans; export from the tool that collects them"),
    (lambda row: "memory" in row or "memories" in row or "'memory':" in str(row.get("results"))[:500],
     "a list of memories, no log; read it with plus import"),
    (lambda row: {"full_name", "email_address", "uuid"} <= row.keys(), "claude.ai's users.json, which holds no talk"),
    (lambda row: "share_id" in row or ("conversation_id" in row and "is_anonymous" in row),
     "ChatGPT's shared_conversations.json, which holds no text"),
    (lambda row: "rating" in row and "message_id" in row,
     "a list of thumbs without the texts they are about; give rows with query and answer too"),
    (lambda row: {"responses", "conversation"} <= row.keys(), "Grok's export"),
    (lambda row: {"user", "ts", "text"} <= row.keys(), "Slack's export, in which no turn is a model's"),
    (lambda row: {"run_type", "inputs", "outputs"} <= row.keys(), "LangSmith's runs"),
)  # fmt: skip
# Formats with one message a row: each reads (conversation, message), or None for a row of another.
_PARTS = {"claude_code": claude.code_part, "codex": openai_calls.codex_part, "oasst": surveys.oasst_part}


def recognise(row: Row, before: str = "") -> str:
    """Find the name of a row's format, or ""; `before` is the format of the row before, which is tried first."""
    if before not in _COMMON and FORMATS[before].is_mine(row):
        return before
    # Which formats a row may be of depends on its columns alone; few do not have any that a format could need.
    shape = tuple(row)
    names = _candidates.get(shape)
    if names is None:
        names = tuple(name for name, marks in _MARKS.items() if not marks.isdisjoint(row))
        if len(_candidates) < 1000:
            _candidates[shape] = names
    return next((name for name in names if FORMATS[name].is_mine(row)), "")


def known_unread(row: Row) -> str:
    """Name the format of a row that is known and not read, or ""."""
    return next((what for is_it, what in _KNOWN if is_it(row)), "")


def nearest(row: Row, count: int = 2) -> str:
    """Describe the nearest formats of a row, at most `count`, each with the columns that it lacks or holds otherwise.

    "" where a row has less than half of the columns of any.
    """

    # The nearest format is the one with the largest share of its columns in the row.
    def share(name: str) -> float:
        columns = FORMATS[name].columns
        return sum(column in row for column in columns) / len(columns)

    ranked = [name for name in sorted(FORMATS, key=share, reverse=True)[:count] if share(name) >= 0.5]
    return ", or ".join(f"{name} ({_lacking(row, FORMATS[name].columns)})" for name in ranked)


def _lacking(row: Row, columns: tuple[str, ...]) -> str:
    missing = [column for column in columns if column not in row]
    return f"missing {', '.join(missing)}" if missing else f"{', '.join(columns)} in another shape"


def whole(rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Join consecutive rows of one message each to a talk, and take downloads of many rows apart.

    Takes and yields (location, row); a joined row has the location of its first.
    """
    talk = _Talk()
    for where, row in wildfeedback.join_utterances(rows):
        found = None
        if "type" in row or "message_tree_id" in row:
            found = next(((name, part) for name, read in _PARTS.items() if (part := read(row)) is not None), None)
        if found is None:
            yield from talk.row()
            talk = _Talk()
            if langfuse.is_download(row):
                yield from ((where, part) for part in langfuse.expand(row))
            elif chats.is_chatbot_ui(row):
                yield from ((where, part) for part in chats.expand_chatbot_ui(row))
            else:
                yield where, row
            continue
        name, (session, message) = found
        if not talk.goes_on(name, session):
            yield from talk.row()
            talk = _Talk()
        talk.add(where, name, session, message)
    yield from talk.row()


class _Talk:
    """Talk that is being joined of rows with one message each."""

    def __init__(self) -> None:
        self.where, self.name, self.session = "", "", ""
        self.messages: list[dict[str, Any]] = []

    def goes_on(self, name: str, session: str) -> bool:
        """Tell whether a message belongs to the same talk; one without a session does."""
        is_same = name == self.name and (not session or not self.session or session == self.session)
        return is_same and len(self.messages) < MOST_JOINED

    def add(self, where: str, name: str, session: str, message: dict[str, Any]) -> None:
        """Add a message."""
        self.where, self.name, self.session = self.where or where, name, self.session or session
        self.messages.append(message)

    def row(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the talk as one row, if there is one."""
        if self.name == "oasst":
            yield self.where, surveys.grow_oasst(self.messages)
        elif self.name:
            yield self.where, {"joined": self.name, "session": self.session, "messages": self.messages}
