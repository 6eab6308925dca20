"""Scorecard of one method: all measures of its predictions, every number with its denominator."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
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
    """Compute each user's accuracy, the worst predicted first.

    Ties count one half. The interval (Wilson, JASA 22, 1927) is wide, since one user has few choices.
    """
    grouped = _grouped(predictions, lambda p: p.user_id)
    return sorted((_of_user(user, rows) for user, rows in grouped.items()), key=lambda u: (u.mean, u.user_id))


def worst_decile(predictions: Sequence[Prediction]) -> Interval:
    """Compute accuracy on the tenth of users with the lowest accuracy (at least one user).

    Users with one choice are left out: their accuracy is 0 or 1. The worst are selected by the same
    choices that are averaged, so the result lies below these users' true rate.
    """
    counted = [user for user in per_user(predictions) if user.targets > 1]
    worst = {user.user_id for user in counted[: math.ceil(len(counted) / 10)]}
    return user_interval([p for p in predictions if p.user_id in worst])


def by_group(predictions: Sequence[Prediction]) -> dict[str, Interval]:
    """Compute the accuracy of each slice that the predictions name."""
    return {name: user_interval(rows) for name, rows in _grouped(predictions, lambda p: p.group).items() if name}


def groups(population: Population, examples: Iterable[Example]) -> list[str]:
    """Name each test example's slice: users and topics (prompts) known from training, or new ones."""
    training = population.split("train")
    users, prompts = {e.history.user_id for e in training}, {e.target.prompt for e in training}
    known = [(e.history.user_id in users, e.target.prompt in prompts) for e in examples]
    return [f"{'known' if user else 'new'} users, {'known' if topic else 'new'} topics" for user, topic in known]


def scorecard(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Compute one method's measures as plain values; None for what cannot be computed, with the reason in `notes`."""
    accuracy = user_interval(predictions)
    likelihood = user_interval(predictions, lambda p: p.log_likelihood)
    worst = worst_decile(predictions)
    card: dict[str, Any] = {
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
    found: dict[str, Any] = plain(card)
    return found


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: dataclasses and named tuples become objects, NaN becomes None."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return plain({each.name: getattr(value, each.name) for each in fields(value)})
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def notes(predictions: Sequence[Prediction]) -> list[str]:
    """Name what cannot be measured from these predictions, one line each."""
    # From the most to the least that is missing.
    users = Counter(p.user_id for p in predictions)
    singles = sum(count < 2 for count in users.values())
    found = []
    if not predictions:
        return ["no choice was predicted, so nothing can be measured"]
    if len(users) == 1:
        found.append("one user only: no interval over users")
    if all(p.margin == 0 for p in predictions):
        found.append("every choice is undecided: accuracy is one half by convention and calibration cannot be measured")
    elif all(p.margin >= 0 for p in predictions) or all(p.margin <= 0 for p in predictions):
        found.append("every decided choice came out one way: no finite calibration slope")
    if len({p.chosen_first for p in predictions} - {None}) == 1 and all(
        p.chosen_first is not None for p in predictions
    ):
        found.append("one class only (the chosen answer always stood in the same place): no AUROC")
    if singles:
        found.append(
            f"{singles:,} of {len(users):,} users have a single choice and are not ranked for the worst decile"
        )
    return found


def _of_user(user_id: str, rows: Sequence[Prediction]) -> UserAccuracy:
    # Wilson's interval: centre and half width.
    n, share, z = len(rows), mean(p.right for p in rows), 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return UserAccuracy(user_id, share, max(0.0, centre - half), min(1.0, centre + half), n)


def _grouped(rows: Sequence[Prediction], key: Callable[[Prediction], str]) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
