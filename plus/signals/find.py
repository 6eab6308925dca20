"""Signals of a file of conversations: the job of `plus signals`, and the engines to choose from.

report = plus.signals("conversations.jsonl")
[(turn.where, turn.label) for turn in report.turns]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from plus.errors import ModelError, SettingError, SourceError
from plus.feedback.log_row import ParseState
from plus.feedback.messages import parse_message
from plus.feedback.streams import rows
from plus.judge.reply_cache import Replies, endpoint_writers
from plus.progress import SILENT, Screen
from plus.signals.asked_signals import REPLY_TOKENS, AskedSignals
from plus.signals.rubrics import Label
from plus.signals.rules import Signal, signals_by_rules
from plus.sources.fields import UnusableError
from plus.types import Dropped, Turn, Writer

BATCH = 64  # conversations at a time
EngineName = Literal["rules", "trained"]


class Conversation(NamedTuple):
    """Conversation of a file: its location, its id as it stands, and a turn for each message."""

    where: str
    id: Any
    turns: list[Turn]


@dataclass(frozen=True)
class Span:
    """Evidence of a signal: the part of the turn that shows a rubric."""

    rubric: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class TurnSignal:
    """Signal of one user turn: the location and id of its conversation, label, probability and evidence."""

    where: str
    id: Any
    turn: int
    label: Label
    probability: float
    evidence: tuple[Span, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert the signal to a JSON object."""
        return {**asdict(self), "evidence": [asdict(span) for span in self.evidence]}


@dataclass(frozen=True)
class Engine:
    """Engine that labels conversations: `label(talks, owners)` returns the signals of each, in order.

    dropped: of a language model, counts of its claims that failed a check. replies: the file that keeps its replies.
    """

    name: str
    label: Callable[[Sequence[Sequence[Turn]], Sequence[str]], list[list[Signal]]]
    dropped: Mapping[str, int] | None = None
    replies: Replies | None = None

    def facts(self, dropped: Dropped) -> dict[str, Any]:
        """List what is told beside the turns: rows and claims that were left out, requests that were sent."""
        found: dict[str, Any] = {"dropped": dict(dropped), "engine": self.name}
        if self.replies is not None:
            found |= {"sent": self.replies.sent, "known": self.replies.known}
        return found if self.dropped is None else {**found, "claims left out": dict(self.dropped)}


@dataclass(frozen=True)
class SignalsReport:
    """Result of labelling a file.

    dropped: counts of the rows that cannot be used, by reason.
    """

    turns: tuple[TurnSignal, ...]
    engine: Engine
    dropped: Dropped

    def to_json(self) -> dict[str, Any]:
        """Convert the report to the JSON object that `plus signals --json` prints."""
        return {"turns": [turn.to_json() for turn in self.turns], **self.engine.facts(self.dropped)}


def find_signals(
    file: str | Path,
    engine: EngineName = "rules",
    model: str | None = None,
    base_url: str | None = None,
    cache: str | Path | None = None,
    screen: Screen = SILENT,
) -> SignalsReport:
    """Label each user turn of the conversations in a file: satisfied, dissatisfied, none or unsure.

    file: rows of {conversation: [messages]} or {messages: [...]}, as JSONL or JSON.
    engine: on this machine: the rules, or the trained head, which needs the packages of the embed extra.
    model, base_url: a language model that labels instead; every conversation is sent to it once.
    cache: a file that keeps the model's replies, with mode 0600.
    Raises SourceError when no row can be used, and SettingError, ModelError or EndpointError for an engine.
    """
    require_file(file)
    chosen, dropped = choose_engine(engine, model, base_url, cache, screen), Dropped()
    with screen.status("labelling"):
        turns = tuple(label_file(file, chosen, dropped))
    for line in dropped.lines():
        screen.say(f"left out: {line}")
    return SignalsReport(turns, chosen, dropped)


def label_file(file: str | Path, engine: Engine, dropped: Dropped) -> Iterator[TurnSignal]:
    """Yield the signals of a file's user turns as they come, at most `BATCH` conversations late.

    Rows that cannot be used are counted in `dropped`. Raises SourceError at the end when that was every row.
    """
    count = 0
    for turn in _labelled(conversations(Path(file), dropped), engine):
        count += 1
        yield turn
    if not count and dropped:
        raise SourceError(f"{file}: nothing can be used; {dropped.lines()[0]}; each row needs conversation: [messages]")


def require_file(file: str | Path) -> None:
    """Check that a file exists. Raises SourceError."""
    if not Path(file).is_file():
        raise SourceError(f"there is no file {file}; give conversations as JSONL or JSON")


def conversations(file: Path, dropped: Dropped) -> Iterator[Conversation]:
    """Yield the conversations of a file; other rows are counted in `dropped`.

    Messages of tools and empty ones become empty system turns, so that turn numbers count the messages as they stand.
    """
    for where, row in rows(file, dropped):
        state = ParseState(where, dropped=dropped)
        talk = next((row[name] for name in ("conversation", "messages", "conversations") if name in row), None)
        try:
            if not isinstance(talk, list):
                raise UnusableError("rows without a conversation")
            parsed = [parse_message(message, state) for message in talk]
        except UnusableError as error:
            state.drop(str(error))
            continue
        turns = [Turn(message.role, message.content) if message else Turn("system", "") for message in parsed]
        yield Conversation(where, row.get("id"), turns)


def choose_engine(
    engine: EngineName, model: str | None, base_url: str | None, cache: str | Path | None, screen: Screen
) -> Engine:
    """Build the engine: the language model when one is named, else the one on this machine."""
    if model is None:
        return local_engine(engine, screen)
    writer_of, replies = writers(model, base_url, cache, REPLY_TOKENS)
    asked = AskedSignals(writer_of)
    return Engine(model, asked, asked.dropped, replies)


def local_engine(engine: EngineName, screen: Screen) -> Engine:
    """Load the rules or the trained head. Raises ModelError where its packages or its sentence model are missing."""
    if engine == "rules":
        return Engine("rules", lambda talks, owners: [signals_by_rules(talk) for talk in talks])
    with screen.loading("loading the sentence model"):
        return Engine("trained", _trained_head())


def writers(
    model: str, base_url: str | None, cache: str | Path | None, max_tokens: int
) -> tuple[Callable[[str], Writer], Replies | None]:
    """Build owner -> Writer for a served model, and its kept replies. Raises SettingError or EndpointError."""
    address = required_address(base_url, model)
    replies = None if cache is None else Replies(Path(cache))
    return endpoint_writers(address, model, max_tokens, replies), replies


def required_address(base_url: str | None, model: str) -> str:
    """Return the address that a model is served at. Raises SettingError when there is none."""
    if not base_url:
        raise SettingError(f"--model {model} needs --base_url, the address that it is served at")
    return base_url


def _trained_head() -> Callable[[Sequence[Sequence[Turn]], Sequence[str]], list[list[Signal]]]:
    try:
        from plus.models.embeddings import minilm
        from plus.signals.head import SignalHead
    except ImportError as error:
        message = f"the trained classifier needs {error.name}; pip install 'plus-preferences[train,embed]'"
        raise ModelError(message) from error
    head = SignalHead.load(minilm())
    return lambda talks, owners: head(talks)


def _labelled(talks: Iterator[Conversation], engine: Engine) -> Iterator[TurnSignal]:
    """Label conversations batch by batch; yields their signals with the text of the evidence."""
    while batch := list(islice(talks, BATCH)):
        labels = engine.label([talk.turns for talk in batch], ())
        for talk, signals in zip(batch, labels, strict=True):
            for signal in signals:
                text = talk.turns[signal.turn].content
                spans = tuple(Span(rubric, start, end, text[start:end]) for start, end, rubric in signal.evidence)
                yield TurnSignal(talk.where, talk.id, signal.turn, signal.label, signal.probability, spans)
