"""Summaries of many users kept up to date: in a store with people's edits, or in a file of summaries.

Both skip a user without new events, and both go on where a killed job stopped. The file is its own record: each line
holds a hash of the history that was read and of the model, so that for unchanged users not even the model is loaded.
Lines are only ever appended; a user's last line counts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

from plus.errors import ForgottenError, RunError, UnknownUserError
from plus.measures import accuracy, mean
from plus.profiles import attribution
from plus.profiles.saving import save_model
from plus.profiles.store import Store, SummaryInput
from plus.profiles.text_filters import without_own
from plus.profiles.versions import Similar
from plus.types import Event, Preference, Reaction, Scorer, Summarizer, Turn, UserHistory

BATCH = 64  # users a call of the summarizer
WINDOW = 4096  # histories that are tokenized and sorted by length at a time
SAMPLE = 1 << 20  # bytes hashed at both ends of a file of weights: training changes them all


# In a store


@dataclass(frozen=True)
class Updated:
    """New summary of one user. anew: the model's text alone. text: with the user's edits and rules."""

    user_id: str
    text: str
    anew: str
    version: int
    blocked: tuple[str, ...]


@dataclass
class UpdateCounts:
    """Counts of an update.

    own: events in which our own summary was found and taken out. failed: users for whom the summarizer wrote nothing.
    users: those summarized.
    """

    updated: int = 0
    unchanged: int = 0
    forgotten: int = 0
    blocked: int = 0
    own: int = 0
    failed: int = 0
    users: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class AgainstAnew:
    """Scores on held-out choices of updated users: of the summaries as updated, and as the model alone wrote them."""

    choices: int = 0
    accuracy_updated: float = 0.0
    accuracy_anew: float = 0.0
    log_likelihood_updated: float = 0.0
    log_likelihood_anew: float = 0.0


def stale(store: Store) -> list[str]:
    """List the users with events that their summary has not read, without those who have paused it."""
    found = store.rows(store.sql.stale_users)
    return [user_id for (user_id,) in found]


def update(
    store: Store,
    summarizer: Summarizer,
    counts: UpdateCounts,
    model: str = "",
    run: str = "",
    similar: Similar | None = None,
    past_events: int | None = None,
) -> Iterator[Updated]:
    """Summarize every user with new events, oldest event first, and save; yields each as it is saved.

    model, run: noted with each version. similar: compares sentences with bans. past_events: how many of a user's newest
    events are read (None: all); a summarizer that learned on three says little that is true of thirty, and later events
    are to win. An interrupted update goes on when called again. A user who is forgotten meanwhile is left alone.
    """
    users = iter(stale(store))
    while batch := list(islice(users, BATCH)):
        # 1. Read and summarize a batch, outside any transaction.
        readings = [reading for user_id in batch if (reading := _read(store, user_id, counts, past_events)) is not None]
        texts = summarizer.summarize([reading.history for reading in readings])
        # 2. Save each text under the rules of that moment.
        for reading, text in zip(readings, texts, strict=True):
            if not text.strip():
                counts.failed += 1
                continue
            try:
                version, composed = save_model(store, reading, text, model, run, similar)
            except (ForgottenError, UnknownUserError):
                counts.forgotten += 1
                continue
            same = reading.current is not None and version.version == reading.current.version
            counts.unchanged += same
            counts.updated += not same
            counts.blocked += len(composed.blocked)
            counts.users.append(version.user_id)
            yield Updated(version.user_id, version.text, text, version.version, composed.blocked)


def against_anew(store: Store, scorer: Scorer, updated: Sequence[Updated]) -> AgainstAnew:
    """Score updated summaries on held-out choices, as updated and as the model alone would have them."""
    events: list[tuple[Updated, Event]] = []
    for one in updated:
        events += [(one, event) for event in attribution.held_out(store, one.user_id, store.current(one.user_id))]
    pairs = [event.content for _, event in events if isinstance(event.content, Preference)]
    if not pairs:
        return AgainstAnew()
    own = scorer.log_likelihood([one.text for one, _ in events], pairs)
    anew = scorer.log_likelihood([one.anew for one, _ in events], pairs)
    return AgainstAnew(len(pairs), accuracy(own), accuracy(anew), mean(own), mean(anew))


def _read(store: Store, user_id: str, counts: UpdateCounts, past_events: int | None) -> SummaryInput | None:
    """A user's newest events without our own earlier texts, which are no evidence; None for a forgotten user."""
    try:
        reading = store.read(user_id)
        texts = {version.text for version in store.history(user_id)}
        if reading.current is not None:  # The part that programs get while a sentence is paused.
            texts.add(store.rules(user_id).in_use(reading.current).text)
    except (ForgottenError, UnknownUserError):
        counts.forgotten += 1
        return None
    events, touched = without_own(reading.history.events, texts)
    counts.own += touched
    events = events if past_events is None else events[-past_events:]
    return SummaryInput(reading.number, UserHistory(user_id, tuple(events)), reading.upto, reading.current)


# In a file


class StreamingSummarizer(Protocol):
    """Summarizer that yields summaries as they are written: `LanguageModelSummarizer`, `EndpointSummarizer`."""

    cut: Counter[str]  # histories that lost events, by reason

    def stream(self, histories: Sequence[UserHistory]) -> Iterator[tuple[int, str]]:
        """Yield (position, text) of every history, in any order; one that could not be summarized is left out."""
        ...


def written(
    histories: Iterable[UserHistory], engine: StreamingSummarizer, window: int = WINDOW
) -> Iterator[tuple[UserHistory, str]]:
    """Yield each history with its summary as soon as it is written. Memory holds one window of histories."""
    rest = iter(histories)
    while part := list(islice(rest, window)):
        for position, text in engine.stream(part):
            yield part[position], text


def digest(history: UserHistory, maker: str) -> str:
    """Hash a history and its summarizer's name, without times and ids of events: equal hashes need no new summary."""
    read = [(event.kind, _content(event.content)) for event in history.events]
    return hashlib.sha256(json.dumps([maker, read], ensure_ascii=False).encode()).hexdigest()[:32]


def fingerprint(folder: Path, *settings: object) -> str:
    """Hash a model saved in a folder and its settings: names, sizes, and both ends of every file."""
    state = hashlib.sha256(repr(settings).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        state.update(f"{path.relative_to(folder).as_posix()}/{size}/".encode())
        with path.open("rb") as file:
            state.update(file.read(SAMPLE))
            file.seek(max(0, size - SAMPLE))
            state.update(file.read(SAMPLE))
    return state.hexdigest()


class StoredSummaries(Mapping[str, str]):
    """Summaries in a file, each read when it is asked for: memory holds ids and places."""

    def __init__(self, path: Path, places: Mapping[str, int]) -> None:
        self.path, self.places = path, places

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __getitem__(self, user_id: str) -> str:
        """Read one user's last line."""
        with self.path.open("rb") as file:
            file.seek(self.places[user_id])
            text: str = json.loads(file.readline())["summary"]
            return text


class SummaryFile:
    """File of {user_id, summary, read} as JSON lines, which grows a line at a time and survives being killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read: dict[str, str] = {}
        self._places: dict[str, int] = {}  # user -> offset of the last line
        if path.exists():
            self._load()
        self._file: IO[bytes] = path.open("ab")

    @property
    def summaries(self) -> StoredSummaries:
        """Every user's last summary."""
        return StoredSummaries(self.path, self._places)

    def of(self, users: Iterable[str]) -> StoredSummaries:
        """Select the summaries of users, in their order; those without one are left out."""
        return StoredSummaries(self.path, {user: self._places[user] for user in users if user in self._places})

    def unchanged(self, history: UserHistory, maker: str) -> bool:
        """Compare a user's last line with a history and a model: true if it was made from both."""
        known = self.read.get(history.user_id)
        return known is not None and known == digest(history, maker)

    def add(self, history: UserHistory, text: str, maker: str) -> None:
        """Append a line, handed to the system at once."""
        row = {"user_id": history.user_id, "summary": text, "read": digest(history, maker)}
        place = self._file.tell()
        self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self._keep(row, place)

    def close(self) -> None:
        """Close the file; no line is held back."""
        self._file.close()

    def _load(self) -> None:
        """Read the complete lines, and cut off one that was being written when the job was killed."""
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    self._keep(json.loads(line), whole)
                except (ValueError, KeyError, TypeError):
                    raise RunError(
                        f"{self.path} line {number} is no summary that plus wrote ({line[:60]!r}); "
                        "give another --output"
                    ) from None
                whole += len(line)
        if whole < self.path.stat().st_size:
            with self.path.open("r+b") as file:
                file.truncate(whole)

    def _keep(self, row: Mapping[str, str], place: int) -> None:
        if not isinstance(row["summary"], str):
            raise TypeError("a summary is text")
        self._places[row["user_id"]] = place
        self.read[row["user_id"]] = row.get("read", "")


def _content(content: Preference | Reaction | str | tuple[Turn, ...]) -> object:
    """Plain values of an event's content."""
    if isinstance(content, tuple):
        return [asdict(turn) for turn in content]
    if isinstance(content, str):
        return content
    # As `asdict`, without its deep copies.
    return {**vars(content), "earlier": [asdict(turn) for turn in content.earlier]}
