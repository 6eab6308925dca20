"""Does the reward model read the summary? The same choices, with other texts in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plus.errors import WindowError
from plus.evaluate.predictions import Prediction, predict
from plus.measures import mean
from plus.prompts import render_event
from plus.types import Example, Preference, Scorer, UserHistory


@dataclass(frozen=True)
class Controls:
    """Accuracies on the same targets. `own` is the claim; the others are what it must differ from.

    shuffled: another user's summary. empty: none. opposite: the summary of a user who chose the
    other answer of the very same pair, over the `opposites` targets that have one, or None.
    """

    own: float
    shuffled: float
    empty: float
    opposite: float | None
    targets: int
    opposites: int
    users: int

    @property
    def summary_gain(self) -> float:
        """What knowing the right user adds: own minus shuffled."""
        return self.own - self.shuffled


def readings(
    scorer: Scorer, examples: Sequence[Example], summaries: Mapping[str, str], seed: int = 0
) -> dict[str, list[Prediction]]:
    """Every choice predicted with the user's own summary and with each text in its place: own,
    shuffled, empty, and opposite (over the choices that have one). Needs two users or more."""
    twins = opposite_users(examples)
    with_twin = [number for number, twin in enumerate(twins) if twin is not None]
    own = [summaries[example.history.user_id] for example in examples]
    texts = {"own": own, "shuffled": [summaries[user] for user in strangers(examples)], "empty": [""] * len(own)}
    found = {name: predict(name, seed, scorer, of_name, examples) for name, of_name in texts.items()}
    theirs = [summaries[twins[number] or ""] for number in with_twin]
    values = predict("opposite", seed, scorer, theirs, [examples[number] for number in with_twin])
    found["opposite"] = [found["own"][n].of("opposite", p.margin) for n, p in zip(with_twin, values, strict=True)]
    return found


def controls_of(found: Mapping[str, Sequence[Prediction]]) -> Controls:
    """The accuracies of `readings`."""
    shares = {name: mean(p.right for p in rows) for name, rows in found.items()}
    return Controls(
        own=shares["own"],
        shuffled=shares["shuffled"],
        empty=shares["empty"],
        opposite=shares["opposite"] if found["opposite"] else None,
        targets=len(found["own"]),
        opposites=len(found["opposite"]),
        users=len({p.user_id for p in found["own"]}),
    )


def read_controls(scorer: Scorer, examples: Sequence[Example], summaries: Mapping[str, str]) -> Controls:
    """Score every example with its user's summary and with each control. Needs two users or more."""
    return controls_of(readings(scorer, examples, summaries))


class PastedHistory:
    """A `Summarizer` that pastes the newest events themselves: nothing is learned and nothing lost."""

    def __init__(self, events: int) -> None:
        self.events = events

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """The newest `events` events of each history, as the summarizer reads them."""
        return ["\n".join(render_event(event) for event in history.events[-self.events :]) for history in histories]


def read_raw_history(
    scorer: Scorer, examples: Sequence[Example], seed: int = 0
) -> tuple[PastedHistory, list[Prediction]]:
    """Every choice predicted from the user's history itself, and what pasted it: as many of the
    newest events as the scorer's window holds for everyone, halved until they fit. Nothing is
    predicted where not even the newest one fits."""
    events = max((len(example.history.events) for example in examples), default=1) or 1
    while True:
        pasted = PastedHistory(events)
        texts = pasted.summarize([example.history for example in examples])
        try:
            return pasted, predict("raw_history", seed, scorer, texts, examples)
        except WindowError:
            if events == 1:
                return PastedHistory(0), []
            events //= 2


def strangers(examples: Sequence[Example]) -> list[str]:
    """For each example another user: the one half the list away, or the next after that who is
    neither the user nor one that chose the opposite of this very pair (which would bias shuffled
    accuracy below chance). With fewer than three users the opposite may be all there is."""
    users = list(dict.fromkeys(example.history.user_id for example in examples))
    place = {user: number for number, user in enumerate(users)}
    chose: dict[str, set[Preference]] = {}
    for example in examples:
        chose.setdefault(example.history.user_id, set()).add(example.target)
    found = []
    for example in examples:
        start = place[example.history.user_id]
        ahead = [users[(start + len(users) // 2 + step) % len(users)] for step in range(min(len(users), 8))]
        others = [user for user in ahead if user != example.history.user_id]
        if not others:
            raise ValueError("a shuffled control needs a second user; the examples hold one")
        found.append(next((user for user in others if example.target.swapped() not in chose[user]), others[0]))
    return found


def opposite_users(examples: Sequence[Example]) -> list[str | None]:
    """For each example a user who chose the other answer of the very same pair, or None."""
    chose = {example.target: example.history.user_id for example in examples}
    return [chose.get(example.target.swapped()) for example in examples]
