"""Counterfactual pasts: labels flipped, or fewer events; a prediction that rests on the past must follow.

In the independent re-run of PLUS an in-context reward model changed its prediction in 14 % of cases
when every past label was swapped: it had learned shortcuts instead of the user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from plus.evaluate.intervals import Interval, user_interval
from plus.evaluate.predictions import Prediction, predict
from plus.types import Event, Example, Preference, Reaction, Scorer, Summarizer, UserHistory

FLIPPED = 500  # choices whose past is flipped, since each costs a summary
CURVE_CHOICES = 500  # choices of a learning curve, since each takes a summary at every number of events


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
    rows = [(e, p) for e, p in zip(examples, before, strict=True) if p.margin > 0 and flipped(e.history) != e.history]
    rows = rows[:FLIPPED]
    # The same choices, from pasts with every label turned.
    others = [replace(example, history=flipped(example.history)) for example, _ in rows]
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
