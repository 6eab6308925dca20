"""The rows that P[Love] trains on: reactions drawn by their odds weight, each beside a text about its user.

Users are drawn in proportion to the weight of all their reactions, then reactions of theirs in proportion to
each one's weight, both with replacement: every reaction of the log comes up exactly in proportion to its own
weight, and a user's reactions of one batch share one text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from random import Random

from plus.errors import SettingError
from plus.love.reactions import message_of
from plus.prompts import event_lines
from plus.types import Event, Reaction

Events = Mapping[str, Sequence[Event]]
CONDITIONS = ("none", "history", "summary")


class Texts:
    """What is said about a user: nothing, the lines of (at most `most` of) their past, or a summary."""

    def __init__(self, condition: str, summaries: Mapping[str, str] | None = None, most: int = 200) -> None:
        if condition not in CONDITIONS:
            raise SettingError(f"--condition is {condition!r}; it takes {', '.join(CONDITIONS)}")
        if condition == "summary" and not summaries:
            raise SettingError("--condition summary needs texts; give --summaries, a summaries.jsonl")
        self.condition, self.summaries, self.most = condition, summaries or {}, most

    def of(self, user_id: str, past: Sequence[Event]) -> str:
        """The text about a user whose `past` may be read."""
        if self.condition == "history":
            return "\n".join(event_lines(event) for event in past[-self.most :])
        return self.summaries.get(user_id, "") if self.condition == "summary" else ""


def batches(
    events: Events, texts: Texts, weight: float, users: int, rows: int, share: float, dropout: float, rng: Random
) -> Iterator[tuple[list[str], list[Reaction]]]:
    """Endless (texts, reactions), users x rows of each; positives have `weight`, negatives 1.

    The text is made of a random `share` of the user's other reactions; what a batch predicts, it never reads.
    A `dropout` of the users come without text, so that nothing being known is a case that was trained for.
    """
    names = list(events)
    weights = {user: [weight if _label(event) else 1.0 for event in events[user]] for user in names}
    totals = list(accumulate(sum(weights[user]) for user in names))
    within = {user: list(accumulate(of_user)) for user, of_user in weights.items()}
    while True:
        said: list[str] = []
        reactions: list[Reaction] = []
        for user in rng.choices(names, cum_weights=totals, k=users):
            past = events[user]
            targets = rng.choices(past, cum_weights=within[user], k=rows)
            text = "" if rng.random() < dropout else texts.of(user, _others(past, targets, share, rng))
            said += [text] * rows
            reactions += [event.content for event in targets if isinstance(event.content, Reaction)]
        yield said, reactions


def _others(past: Sequence[Event], targets: Sequence[Event], share: float, rng: Random) -> list[Event]:
    """A random `share` of the past, in its order, without what is predicted."""
    hidden = {message_of(event) for event in targets}
    places = [place for place, event in enumerate(past) if message_of(event) not in hidden]
    size = min(len(places), max(1, int(len(past) * share)))
    return [past[place] for place in sorted(rng.sample(places, size))]


def _label(event: Event) -> bool:
    return isinstance(event.content, Reaction) and event.content.label
