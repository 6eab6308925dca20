"""Nouns of plus: plain frozen values, standard library only.

Two values with equal content are equal; identity is a matter of storage. Nothing here imports
torch, so editing, exporting and personalizing need no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, TypedDict

Split = Literal["train", "validation", "test"]
EventKind = Literal["message", "choice", "reaction", "edit", "remark"]


class Message(TypedDict):
    """One chat turn in the shape of OpenAI and Hugging Face: {"role": ..., "content": ...}."""

    role: str
    content: str


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation as a value: a `Message` that can be compared and hashed."""

    role: str
    content: str


Prompt = str | tuple[Turn, ...]


@dataclass(frozen=True)
class Preference:
    """Choice of a user: `chosen` over `rejected` as the answer to `prompt` (TRL's column names).

    `earlier` holds the turns before the prompt, oldest first, where the prompt stands in the middle of
    a conversation; dictionaries, as storage returns them, become turns.
    """

    prompt: str
    chosen: str
    rejected: str
    earlier: tuple[Turn, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "earlier", as_turns(self.earlier))

    @property
    def conversation(self) -> Prompt:
        """The prompt alone, or all turns up to it."""
        return (*self.earlier, Turn("user", self.prompt)) if self.earlier else self.prompt

    def swapped(self) -> Preference:
        """Return the same pair as a user with the opposite taste would label it."""
        return Preference(self.prompt, self.rejected, self.chosen, self.earlier)


@dataclass(frozen=True)
class Reaction:
    """Reaction to one answer: liked (`label` true) or disliked (TRL's unpaired preference)."""

    prompt: str
    completion: str
    label: bool
    earlier: tuple[Turn, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "earlier", as_turns(self.earlier))


@dataclass(frozen=True)
class Event:
    """Event in a user's log.

    `content` is a Preference for a choice, a Reaction for a reaction, text for a message, an edit or a
    remark, and turns for a message that is a whole (unlabelled) conversation. `time` is in seconds
    since 1970, or None.
    """

    id: str
    kind: EventKind
    content: Preference | Reaction | str | tuple[Turn, ...]
    time: float | None = None
    source: str = ""


@dataclass(frozen=True)
class UserHistory:
    """Past events of a user, oldest first: the input of a summarizer."""

    user_id: str
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Example:
    """One choice to predict (the *target*) and the history it is predicted from (the *context*)."""

    history: UserHistory
    target: Preference
    split: Split = "train"


@dataclass(frozen=True)
class Context:
    """One history and the later choices of the same user that test a summary of it, all of one split."""

    history: UserHistory
    pairs: tuple[Preference, ...]
    split: Split = "train"


@dataclass(frozen=True)
class Summary:
    """Text about a user's preferences, as it is stored, edited and exported."""

    user_id: str
    text: str
    origin: Literal["model", "user"] = "model"
    model: str = ""
    created: float | None = None
    sentences: tuple[str, ...] = ()
    evidence: tuple[str, ...] = field(default=())


def as_turns(values: Iterable[Turn | Mapping[str, str]] | None) -> tuple[Turn, ...]:
    """Convert turns or {"role", "content"} dictionaries to turns; None is no turn."""
    return tuple(value if isinstance(value, Turn) else Turn(value["role"], value["content"]) for value in values or ())


def history_of(past: UserHistory | Sequence[Any], user_id: str = "user") -> UserHistory:
    """Convert a UserHistory or a list of choices, reactions and texts to a UserHistory.

    Dictionaries are read by TRL's columns: {prompt, chosen, rejected} or {prompt, completion, label}.
    Raises ValueError for anything else, naming the position.
    """
    if isinstance(past, UserHistory):
        return past
    return UserHistory(user_id, tuple(_event(f"{user_id}-{number}", item) for number, item in enumerate(past)))


def _event(name: str, item: Any) -> Event:
    match item:
        case Event():
            return item
        # A choice, a reaction or text, as a value or by TRL's columns.
        case Preference() | {"chosen": str(), "rejected": str()}:
            return Event(
                name,
                "choice",
                item
                if isinstance(item, Preference)
                else Preference(item.get("prompt", ""), item["chosen"], item["rejected"]),
            )
        case Reaction() | {"completion": str(), "label": _}:
            return Event(
                name,
                "reaction",
                item
                if isinstance(item, Reaction)
                else Reaction(item.get("prompt", ""), item["completion"], bool(item["label"])),
            )
        case str():
            return Event(name, "message", item)
    # Anything else is named with its columns or type.
    found = f"columns {', '.join(map(str, item))}" if isinstance(item, dict) else type(item).__name__
    raise ValueError(
        f"history item {name} has {found}; give {{prompt, chosen, rejected}}, {{prompt, completion, label}}, or text"
    )


class Entry(NamedTuple):
    """Event on its way into the store. `held_out` None holds out a fixed share of the choices.

    origin: the file it was read from. Equal events of one file are several; in another file they are known ones.
    revises: an event of the same id that says something else is replaced, as in a later export of the same log.
    """

    user_id: str
    event: Event
    session_id: str = ""
    held_out: bool | None = None
    origin: str = ""
    revises: bool = False


class Dropped(Counter[str]):
    """Counts of what was left out, by reason, with the first place of each reason.

    `columns` are those of the first row that could not be used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, str] = {}
        self.columns: tuple[str, ...] = ()

    def add(self, reason: str, where: str = "", count: int = 1) -> None:
        """Count what is left out under a reason; `where` names its row."""
        self[reason] += count
        self.first.setdefault(reason, where)

    def lines(self) -> list[str]:
        """Format one line a reason, for people."""
        return [
            f"{count} x {reason}" + (f" (first: {self.first[reason]})" if self.first.get(reason) else "")
            for reason, count in self.items()
        ]


@dataclass(frozen=True)
class Population:
    """Users of one data set.

    rows: contexts with their targets, each history once a split. Every row of a user shares that
        user's split, unless the split is by topics or by later choices, or the data states another.
    histories: the context of *every* user, also of those without a target.
    personas: the true taste in words, known for synthetic users only (the *oracle* row).
    events: all events of a user, those of the targets too, where the source has whole logs: training may cut a
        training user's anew, and a run's record of its data is made of them.
    best_possible: the accuracy of a perfect reader of the contexts, where it can be computed.
    dropped: counts of everything that was left out.
    """

    name: str
    rows: tuple[Context, ...]
    histories: Mapping[str, UserHistory]
    personas: Mapping[str, str] = field(default_factory=dict)
    dropped: Dropped = field(default_factory=Dropped)
    best_possible: float | None = None
    events: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """The rows as one example a target, in order."""
        return tuple(Example(row.history, pair, row.split) for row in self.rows for pair in row.pairs)

    def split(self, name: Split) -> list[Example]:
        """List the examples of one split, in order."""
        return [example for example in self.examples if example.split == name]

    def contexts(self, name: Split) -> list[Context]:
        """List the rows of one split, in order, with each target once, as training takes them."""
        return [replace(row, pairs=tuple(dict.fromkeys(row.pairs))) for row in self.rows if row.split == name]

    def users(self, name: Split) -> list[str]:
        """List the users of one split, in order of appearance."""
        return list(dict.fromkeys(row.history.user_id for row in self.rows if row.split == name))


class Summarizer(Protocol):
    """Summarizer: turns histories into texts, one a history, in order."""

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Write one text a history, in the order of the histories."""
        ...


class Scorer(Protocol):
    """Scorer: the likelihood of a choice, given a text about the user."""

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log P(chosen preferred to rejected | text), one a pair; `log 0.5` means undecided."""
        ...


class Writer(Protocol):
    """Writer: a language model that answers a conversation, behind an endpoint or loaded here."""

    def complete(self, messages: Sequence[Message]) -> str:
        """Write the text that follows the messages."""
        ...
