"""Had the user chosen otherwise, would the prediction turn? It must, if the past is what it rests on.

In the independent re-run of PLUS an in-context reward model changed its prediction in 14 % of cases
when every past label was swapped: it had learned shortcuts instead of the user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from plus.evaluate.intervals import Interval, user_interval
from plus.evaluate.predictions import Prediction, predict
from plus.types import Event, Example, Preference, Reaction, Scorer, Summarizer, UserHistory

FLIPPED = 500


def flipped(history: UserHistory) -> UserHistory:
    """The same past with every choice and every reaction the other way round."""
    return UserHistory(history.user_id, tuple(_turned(event) for event in history.events))


def label_flip(
    summarizer: Summarizer, scorer: Scorer, examples: Sequence[Example], before: Sequence[Prediction]
) -> Interval:
    """Of the choices predicted right, the share whose prediction turns when the labels of the past
    are flipped and summarized anew; the first `FLIPPED` of them, since each costs a summary.
    Histories without a label are left out: nothing can be flipped."""
    rows = [(e, p) for e, p in zip(examples, before, strict=True) if p.margin > 0 and flipped(e.history) != e.history]
    rows = rows[:FLIPPED]
    others = [replace(example, history=flipped(example.history)) for example, _ in rows]
    texts = texts_of(summarizer, others)
    return turned([p for _, p in rows], predict("flipped", 0, scorer, texts, others))


def turned(before: Sequence[Prediction], after: Sequence[Prediction]) -> Interval:
    """Of the choices that were right before, the share that are wrong after (undecided: one half)."""
    pairs = [(a, 1 - b.right) for a, b in zip(before, after, strict=True) if a.margin > 0]
    return user_interval([a.of("turned", share - 0.5) for a, share in pairs])


def texts_of(summarizer: Summarizer, examples: Sequence[Example]) -> list[str]:
    """One text an example, each history summarized once."""
    histories = {id(example.history): example.history for example in examples}
    texts = dict(zip(histories, summarizer.summarize(list(histories.values())), strict=True))
    return [texts[id(example.history)] for example in examples]


class Stated:
    """A `Summarizer` that writes what a history reveals, no less and no more: the oracle of a
    counterfactual, where nobody's true persona is known."""

    def __init__(self, state: Callable[[UserHistory], str]) -> None:
        self.state = state

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """The statement of each history."""
        return [self.state(history) for history in histories]


def _turned(event: Event) -> Event:
    match event.content:
        case Preference() as pair:
            return replace(event, content=pair.swapped())
        case Reaction() as reaction:
            return replace(event, content=replace(reaction, label=not reaction.label))
    return event
