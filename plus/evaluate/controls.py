"""Controls: the same choices predicted with other texts and from other pasts.

Other texts show whether the reward model reads the summary. Other pasts (labels flipped, fewer events)
show whether the summary rests on the past: a prediction must then follow it. In the independent re-run of
PLUS an in-context reward model changed its prediction in 14 % of cases when every past label was swapped:
it had learned shortcuts instead of the user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from plus.errors import WindowError
from plus.evaluate.intervals import Interval, user_interval
from plus.evaluate.predictions import Prediction, predict
from plus.prompts import render_event
from plus.types import Event, Example, Preference, Reaction, Scorer, Summarizer, UserHistory

FLIPPED = 500  # choices whose past is flipped, since each costs a summary
CURVE_CHOICES = 500  # choices of a learning curve, since each takes a summary at every number of events


def readings(
    scorer: Scorer, examples: Sequence[Example], summaries: Mapping[str, str], seed: int = 0
) -> dict[str, list[Prediction]]:
    """Predict every choice with the user's own summary and with each control's text.

    Returns control -> predictions. own: the user's summary. shuffled: another user's. empty: no text.
    opposite: the summary of a user who chose the other answer of the same pair, over the choices
    that have one. Raises ValueError for fewer than two users.
    """
    twins = opposite_users(examples)
    with_twin = [number for number, twin in enumerate(twins) if twin is not None]
    # Own, shuffled and empty: one text for every example.
    own = [summaries[example.history.user_id] for example in examples]
    texts = {"own": own, "shuffled": [summaries[user] for user in other_users(examples)], "empty": [""] * len(own)}
    found = {name: predict(name, seed, scorer, of_name, examples) for name, of_name in texts.items()}
    # The opposite user's summary, where one chose the other answer.
    theirs = [summaries[twins[number] or ""] for number in with_twin]
    values = predict("opposite", seed, scorer, theirs, [examples[number] for number in with_twin])
    found["opposite"] = [found["own"][n].of("opposite", p.margin) for n, p in zip(with_twin, values, strict=True)]
    return found


class PastedHistory:
    """`Summarizer` that pastes the newest events as they are, each in the words of `line`."""

    def __init__(self, events: int, line: Callable[[Event], str] = render_event) -> None:
        self.events, self.line = events, line

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Render the newest `events` events of each history; by default as a language model reads them."""
        return ["\n".join(self.line(event) for event in history.events[-self.events :]) for history in histories]


def read_raw_history(
    scorer: Scorer, examples: Sequence[Example], seed: int = 0, line: Callable[[Event], str] = render_event
) -> tuple[PastedHistory, list[Prediction]]:
    """Predict every choice from the user's pasted history, each event in the words of `line`.

    The number of newest events is halved until all histories fit the scorer's window. Returns the
    summarizer that pasted them and the predictions: none where not even the newest event fits.
    """
    # All events first, then half as many, until the longest history fits.
    events = max((len(example.history.events) for example in examples), default=1) or 1
    while True:
        pasted = PastedHistory(events, line)
        texts = pasted.summarize([example.history for example in examples])
        try:
            return pasted, predict("raw_history", seed, scorer, texts, examples)
        except WindowError:
            if events == 1:
                return PastedHistory(0), []
            events //= 2


def other_users(examples: Sequence[Example]) -> list[str]:
    """Select another user for each example.

    The one half the list away, or the next after that who is neither the user nor one that chose the
    opposite of the same pair (which would bias shuffled accuracy below chance). With fewer than three
    users the opposite is taken where there is no other. Raises ValueError for a single user.
    """
    users = list(dict.fromkeys(example.history.user_id for example in examples))
    place = {user: number for number, user in enumerate(users)}
    chose: dict[str, set[Preference]] = {}
    for example in examples:
        chose.setdefault(example.history.user_id, set()).add(example.target)
    found = []
    # Only the next eight are looked at, so that the cost stays linear in users.
    for example in examples:
        start = place[example.history.user_id]
        ahead = [users[(start + len(users) // 2 + step) % len(users)] for step in range(min(len(users), 8))]
        others = [user for user in ahead if user != example.history.user_id]
        if not others:
            raise ValueError("a shuffled control needs a second user; the examples hold one")
        found.append(next((user for user in others if example.target.swapped() not in chose[user]), others[0]))
    return found


def opposite_users(examples: Sequence[Example]) -> list[str | None]:
    """Find for each example a user who chose the other answer of the same pair, or None."""
    chose = {example.target: example.history.user_id for example in examples}
    return [chose.get(example.target.swapped()) for example in examples]


def flipped(history: UserHistory) -> UserHistory:
    """Flip every choice and every reaction of a history."""
    return UserHistory(history.user_id, tuple(_turned(event) for event in history.events))


def label_flip(
    summarizer: Summarizer, scorer: Scorer, examples: Sequence[Example], before: Sequence[Prediction]
) -> Interval:
    """Compute the share of right predictions that turn when the past's labels are flipped.

    Flipped histories are summarized anew; the first `FLIPPED` right choices are used. Histories
    without a label are left out, since nothing can be flipped.
    """
    turn = cache(flipped)  # Once for all choices of a user, so that it is summarized once too.
    rows = [(e, p) for e, p in zip(examples, before, strict=True) if p.margin > 0 and turn(e.history) != e.history]
    rows = rows[:FLIPPED]
    # The same choices, from pasts with every label turned.
    others = [replace(example, history=turn(example.history)) for example, _ in rows]
    texts = texts_of(summarizer, others)
    return turned([p for _, p in rows], predict("flipped", 0, scorer, texts, others))


def turned(before: Sequence[Prediction], after: Sequence[Prediction]) -> Interval:
    """Compute the share of choices right before that are wrong after (undecided counts one half)."""
    pairs = [(a, 1 - b.right) for a, b in zip(before, after, strict=True) if a.margin > 0]
    return user_interval([a.of("turned", share - 0.5) for a, share in pairs])


def texts_of(summarizer: Summarizer, examples: Sequence[Example]) -> list[str]:
    """Summarize each history once; returns one text an example."""
    histories = {id(example.history): example.history for example in examples}
    texts = dict(zip(histories, summarizer.summarize(list(histories.values())), strict=True))
    return [texts[id(example.history)] for example in examples]


def learning_curve(
    summarizer: Summarizer, scorer: Scorer, examples: Sequence[Example], method: str = "plus", seed: int = 0
) -> list[Prediction]:
    """Predict the same choices from the newest n events of each past: n = 0, 1, 2, 4, ... and all.

    A prediction's group is n; zero events is no text.
    """
    examples = examples[:CURVE_CHOICES]
    most = max((len(example.history.events) for example in examples), default=0)
    found = [replace(p, group="0") for p in predict(method, seed, scorer, [""] * len(examples), examples)]
    # Each history is cut once, so that it is summarized once.
    for count in sorted({*_doubled(most), most} - {0}):
        shorter = {id(e.history): UserHistory(e.history.user_id, e.history.events[-count:]) for e in examples}
        cut = [replace(example, history=shorter[id(example.history)]) for example in examples]
        made = predict(method, seed, scorer, texts_of(summarizer, cut), cut)
        found += [replace(p, group=str(count)) for p in made]
    return found


def curve(predictions: Sequence[Prediction]) -> dict[int, Interval]:
    """Compute accuracy by the number of past events."""
    counts = sorted({int(p.group) for p in predictions})
    return {count: user_interval([p for p in predictions if p.group == str(count)]) for count in counts}


class Stated:
    """`Summarizer` that writes exactly what a history reveals: the oracle of a counterfactual past.

    A true persona would not do, since no persona is known for a past that was changed.
    """

    def __init__(self, state: Callable[[UserHistory], str]) -> None:
        self.state = state

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """State what each history reveals."""
        return [self.state(history) for history in histories]


def _turned(event: Event) -> Event:
    match event.content:
        case Preference() as pair:
            return replace(event, content=pair.swapped())
        case Reaction() as reaction:
            return replace(event, content=replace(reaction, label=not reaction.label))
    return event


def _doubled(most: int) -> list[int]:
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return counts
