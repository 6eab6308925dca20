"""Does the reward model read the summary? The same choices, with other texts in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plus.measures import accuracy
from plus.types import Example, Preference, Scorer


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


def read_controls(scorer: Scorer, examples: Sequence[Example], summaries: Mapping[str, str]) -> Controls:
    """Score every example with its user's summary and with each control. Needs two users or more."""
    pairs = [example.target for example in examples]
    own = [summaries[example.history.user_id] for example in examples]
    other = [summaries[user] for user in strangers(examples)]
    twins = _opposite_users(examples)
    with_twin = [(summaries[twin], pair) for twin, pair in zip(twins, pairs, strict=True) if twin is not None]
    opposite = (
        scorer.log_likelihood([text for text, _ in with_twin], [pair for _, pair in with_twin]) if with_twin else []
    )
    return Controls(
        own=accuracy(scorer.log_likelihood(own, pairs)),
        shuffled=accuracy(scorer.log_likelihood(other, pairs)),
        empty=accuracy(scorer.log_likelihood([""] * len(pairs), pairs)),
        opposite=accuracy(opposite) if opposite else None,
        targets=len(pairs),
        opposites=len(opposite),
        users=len({example.history.user_id for example in examples}),
    )


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


def _opposite_users(examples: Sequence[Example]) -> list[str | None]:
    chose = {example.target: example.history.user_id for example in examples}
    return [chose.get(example.target.swapped()) for example in examples]
