"""Everything that is measured of one method, from its predictions; every number with its denominator."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from plus.evaluate.calibration import calibration
from plus.evaluate.intervals import Interval, user_interval
from plus.evaluate.predictions import Prediction
from plus.measures import mean
from plus.types import Example, Population


class UserAccuracy(NamedTuple):
    """One user's share of choices predicted right, with Wilson's 95 % interval over those choices."""

    user_id: str
    mean: float
    low: float
    high: float
    targets: int


def per_user(predictions: Sequence[Prediction]) -> list[UserAccuracy]:
    """Users from the worst predicted to the best. The interval (Wilson, JASA 22, 1927) says how
    little one user's handful of choices tells; ties count one half."""
    grouped = _grouped(predictions, lambda p: p.user_id)
    return sorted((_of_user(user, rows) for user, rows in grouped.items()), key=lambda u: (u.mean, u.user_id))


def worst_decile(predictions: Sequence[Prediction]) -> Interval:
    """Accuracy on the tenth of users that it serves worst (at least one user), of users with two
    choices or more: with one choice the worst are simply the wrong ones. Choosing the worst *by the
    same choices* makes it look worse than these users' true rate."""
    counted = [user for user in per_user(predictions) if user.targets > 1]
    worst = {user.user_id for user in counted[: math.ceil(len(counted) / 10)]}
    return user_interval([p for p in predictions if p.user_id in worst])


def by_group(predictions: Sequence[Prediction]) -> dict[str, Interval]:
    """Accuracy of each slice that the predictions name."""
    return {name: user_interval(rows) for name, rows in _grouped(predictions, lambda p: p.group).items() if name}


def groups(population: Population, examples: Iterable[Example]) -> list[str]:
    """Which slice each test example belongs to: users and topics (prompts) of training, or new ones."""
    training = population.split("train")
    users, prompts = {e.history.user_id for e in training}, {e.target.prompt for e in training}
    return [
        f"{'known' if e.history.user_id in users else 'new'} users, {'known' if e.target.prompt in prompts else 'new'} topics"
        for e in examples
    ]


def scorecard(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """One method's measures as plain values. What cannot be computed is None, and `notes` says why."""
    accuracy = user_interval(predictions)
    likelihood = user_interval(predictions, lambda p: p.log_likelihood)
    worst = worst_decile(predictions)
    card = {
        "accuracy": accuracy._asdict(),
        "log_likelihood": likelihood._asdict(),
        "calibration": calibration(predictions),
        "worst_decile": worst._asdict(),
        "slices": {name: found._asdict() for name, found in by_group(predictions).items()},
        "users": accuracy.users,
        "targets": accuracy.targets,
        "seeds": len({p.seed for p in predictions}),
        "notes": notes(predictions),
    }
    return plain(card)


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN, which it has not, becomes None."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def notes(predictions: Sequence[Prediction]) -> list[str]:
    """What the numbers cannot say, in plain words."""
    users = Counter(p.user_id for p in predictions)
    singles = sum(count < 2 for count in users.values())
    said = []
    if not predictions:
        return ["no choice was predicted, so nothing can be measured"]
    if len(users) == 1:
        said.append("one user only: no interval over users")
    if all(p.margin == 0 for p in predictions):
        said.append("every choice is undecided: accuracy is one half by convention and calibration cannot be measured")
    elif all(p.margin >= 0 for p in predictions) or all(p.margin <= 0 for p in predictions):
        said.append("every decided choice came out one way: no finite calibration slope")
    if len({p.chosen_first for p in predictions} - {None}) == 1 and all(
        p.chosen_first is not None for p in predictions
    ):
        said.append("one class only (the chosen answer always stood in the same place): no AUROC")
    if singles:
        said.append(f"{singles:,} of {len(users):,} users have a single choice and are not ranked for the worst decile")
    return said


def _of_user(user_id: str, rows: Sequence[Prediction]) -> UserAccuracy:
    n, share, z = len(rows), mean(p.right for p in rows), 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return UserAccuracy(user_id, share, max(0.0, centre - half), min(1.0, centre + half), n)


def _grouped(rows: Sequence[Prediction], key: Callable[[Prediction], str]) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
