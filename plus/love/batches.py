"""Training batches of P[Love], with rare positives drawn more often, and the correction that takes it back.

Users are drawn in proportion to the weight of all their reactions, then reactions of theirs in proportion to each
one's weight, both with replacement: every reaction of the log is drawn exactly in proportion to its own weight,
and a user's reactions of one batch share one text about the user.

The weight is the odds weight of the label, so the model learns sigmoid(f) of a population in which positives are
a share s instead of the log's rate p. By Bayes' rule the two differ by a constant:

    logit P(love) = f - [logit(s) - logit(p)]

King and Zeng, Logistic regression in rare events data (Political Analysis 9, 2001), section 4.1. With p = 2 % and
s = 10 % the constant is ln(0.1 / 0.9) - ln(0.02 / 0.98) = 1.695: an answer at even odds is loved with 15.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from plus.errors import SettingError
from plus.love.reactions import label_of, message_of, reaction_of
from plus.prompts import event_lines
from plus.types import Event, Reaction

Events = Mapping[str, Sequence[Event]]
CONDITIONS = ("none", "history", "summary")


@dataclass(frozen=True)
class Upsampling:
    """Rate of positives in the log (`rate`) and in training (`share`), with the weight and shift they imply."""

    rate: float
    share: float

    @classmethod
    def of(cls, rate: float, share: float | None) -> Upsampling:
        """Draw positives up to `share`, never down: a log that has more stays as it is.

        Raises SettingError for a share outside (0, 1), or a log with a single outcome.
        """
        if share is not None and not 0 < share < 1:
            raise SettingError(f"--positive_share is {share:g}; it must lie between 0 and 1")
        if not 0 < rate < 1:
            raise SettingError(f"the rate of positives is {rate:g}; both outcomes are needed")
        return cls(rate, max(rate, share or 0.0))

    @property
    def weight(self) -> float:
        """Odds weight of a positive row; a negative row has 1."""
        return math.exp(self.shift)

    @property
    def shift(self) -> float:
        """logit(share) - logit(rate): the constant that training adds to every logit, in nats."""
        return logit(self.share) - logit(self.rate)


def logit(p: float) -> float:
    """Compute log(p / (1 - p))."""
    return math.log(p / (1 - p))


class UserTexts:
    """Text about each user: none, the lines of at most `most` past reactions, or a summary."""

    def __init__(self, condition: str, summaries: Mapping[str, str] | None = None, most: int = 200) -> None:
        if condition not in CONDITIONS:
            raise SettingError(f"--condition is {condition!r}; it takes {', '.join(CONDITIONS)}")
        if condition == "summary" and not summaries:
            raise SettingError("--condition summary needs texts; give --summaries, a summaries.jsonl")
        self.condition, self.summaries, self.most = condition, summaries or {}, most

    def of(self, user_id: str, past: Sequence[Event]) -> str:
        """Write the text about a user from the events of `past`, oldest first."""
        if self.condition == "history":
            return "\n".join(event_lines(event) for event in past[-self.most :])
        return self.summaries.get(user_id, "") if self.condition == "summary" else ""


def batches(
    events: Events,
    user_texts: UserTexts,
    weight: float,
    users: int,
    rows: int,
    share: float,
    dropout: float,
    rng: Random,
) -> Iterator[tuple[list[str], list[Reaction]]]:
    """Yield (texts, reactions) without end, `users` x `rows` of each; positives have `weight`, negatives 1.

    The text is made of a random `share` of the user's other reactions: a batch never reads a reaction that it
    predicts. A share `dropout` of the users has no text, so that the model also learns to predict without one.
    """
    # Cumulative weights of users and of each user's reactions, computed once.
    names = list(events)
    weights = {user: [weight if label_of(event) else 1.0 for event in events[user]] for user in names}
    totals = list(accumulate(sum(weights[user]) for user in names))
    cumulative = {user: list(accumulate(of_user)) for user, of_user in weights.items()}
    while True:
        texts: list[str] = []
        reactions: list[Reaction] = []
        # A user's rows share one text, written from reactions that are none of them.
        for user in rng.choices(names, cum_weights=totals, k=users):
            past = events[user]
            targets = rng.choices(past, cum_weights=cumulative[user], k=rows)
            text = "" if rng.random() < dropout else user_texts.of(user, _others(past, targets, share, rng))
            texts += [text] * rows
            reactions += [reaction_of(event) for event in targets]
        yield texts, reactions


def _others(past: Sequence[Event], targets: Sequence[Event], share: float, rng: Random) -> list[Event]:
    """Draw a random `share` of the past, in its order, without the messages of `targets`."""
    hidden = {message_of(event) for event in targets}
    places = [place for place, event in enumerate(past) if message_of(event) not in hidden]
    size = min(len(places), max(1, int(len(past) * share)))
    return [past[place] for place in sorted(rng.sample(places, size))]
