"""P[Love] judged: on users it never met or on what came later, against the additive line, with everything that
makes an AUROC misleading beside it (calibration, length, drift, single users, offline to online)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from plus.errors import EvidenceError
from plus.evaluate.intervals import Interval
from plus.love.additive import COLUMNS, Additive
from plus.love.batches import Texts
from plus.love.influence import influence
from plus.love.measures import (
    Judged,
    auroc,
    auroc_difference,
    calibration_error,
    calibration_slope,
    drift,
    length_correlation,
)
from plus.love.offline import offline_to_online
from plus.love.run import Love, LoveSettings, Reader, fit
from plus.love.splits import Split, Tested, check
from plus.types import Event, Reaction

Rows = dict[str, list[Judged]]
LOVE, EMPTY, SHUFFLED = "P[Love]", "without text", "another user's text"
BASELINE = list(COLUMNS)[-1]
INFLUENCE_ANSWERS = 5000  # more distinct answers than this make no table of users by answers


def judge(
    splits: Sequence[Split], settings: LoveSettings, new_reader: Callable[[], Reader], texts: Texts,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Rows:  # fmt: skip
    """Train on each split and judge its test users: rows by method, all methods on the same rows in one order."""
    found: Rows = {}
    for split in splits:
        check(split)
        love = fit(split.train, settings, new_reader, texts, on_step)
        said = {LOVE: love.of(split.tested)}
        if settings.condition != "none":
            said[EMPTY] = _with(love, split.tested, dict.fromkeys((one.user_id for one in split.tested), ""))
            if len(split.tested) > 1:
                said[SHUFFLED] = _with(love, split.tested, _strangers(split.tested, texts))
        for name, columns in COLUMNS.items():
            said[name] = Additive(split.train, columns, settings.seed).of(split.tested)
        for name, values in said.items():
            found.setdefault(name, []).extend(judged(split.tested, values))
    return found


def judged(tested: Sequence[Tested], values: Sequence[Sequence[float]]) -> list[Judged]:
    """One row a target, with the log-odds said of it."""
    rows = []
    for one, of_user in zip(tested, values, strict=True):
        for event, value in zip(one.targets, of_user, strict=True):
            assert isinstance(event.content, Reaction)
            rows.append(
                Judged(
                    one.user_id, event.id, value, event.content.label, event.content.completion, event.time, one.group
                )
            )
    return rows


def report(
    found: Rows, splits: Sequence[Split], features: Mapping[str, Sequence[float]], seed: int = 0
) -> dict[str, Any]:
    """Every measure as plain values. `features` by answer, for influence and the offline-to-online check."""
    rows = found[LOVE]
    error, slope = calibration_error(rows), calibration_slope(rows)
    timed = all(split.timed for split in splits)
    return {
        "split": "later reactions" if splits[0].cut is not None else "new users",
        "timed": timed,
        "test_users": len({row.user_id for row in rows}),
        "test_reactions": len(rows),
        "users_without_later_reactions": sum(split.left_out for split in splits),
        "auroc": {name: _plain(auroc(of_method)) for name, of_method in found.items()},
        "gain": {name: _plain(auroc_difference(rows, found[name])) for name in found if name != LOVE},
        "groups": {
            name: _plain(auroc([row for row in rows if row.group == name])) for name in sorted({r.group for r in rows})
        },
        "calibration": {
            **error._asdict(), "slope": _plain(slope.slope), "intercept": _plain(slope.intercept),
        },
        "length_correlation": _plain(length_correlation(rows)),
        "drift": [
            {**window._asdict(), "difference": _plain(window.difference), "auroc": _plain(window.auroc)}
            for window in (drift(rows) if timed else [])
        ],
        "offline_to_online": _offline(rows, features, seed),
    }  # fmt: skip


def most_influential(
    events: Mapping[str, Sequence[Event]], features: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """The users who move an answer's logit most; [] where there are too many answers for a table."""
    if len(features) > INFLUENCE_ANSWERS:
        return []
    return [one._asdict() for one in influence(events, features)]


def features_of(reader: Reader, events: Mapping[str, Sequence[Event]]) -> dict[str, list[float]]:
    """Each distinct answer's frozen features."""
    answers: dict[str, Reaction] = {}
    for past in events.values():
        for event in past:
            if isinstance(event.content, Reaction):
                answers.setdefault(event.content.completion, event.content)
    vectors = reader.features(list(answers.values())).tolist()
    return dict(zip(answers, vectors, strict=True))


def ranking(love: Love, panel: Sequence[str], reactions: Sequence[Reaction]) -> list[float]:
    """The mean P(love) of each answer over a `panel` of texts about users."""
    values = love.logits([text for text in panel for _ in reactions], [*reactions] * len(panel))
    size = len(reactions)
    return [sum(1 / (1 + math.exp(-value)) for value in values[number::size]) / len(panel) for number in range(size)]


def _with(love: Love, tested: Sequence[Tested], text_of: Mapping[str, str]) -> list[list[float]]:
    texts = [text_of[one.user_id] for one in tested for _ in one.targets]
    reactions = [e.content for one in tested for e in one.targets if isinstance(e.content, Reaction)]
    values = iter(love.logits(texts, reactions))
    return [[next(values) for _ in one.targets] for one in tested]


def _strangers(tested: Sequence[Tested], texts: Texts) -> dict[str, str]:
    """For each user the text about another one: the next in a seeded circle."""
    order = sorted(tested, key=lambda one: one.user_id)
    Random("strangers").shuffle(order)
    following = [*order[1:], order[0]]
    return {one.user_id: texts.of(other.user_id, other.context) for one, other in zip(order, following, strict=True)}


def _offline(rows: Sequence[Judged], features: Mapping[str, Sequence[float]], seed: int) -> dict[str, Any]:
    try:
        return offline_to_online(rows, features, seed=seed).as_dict()
    except EvidenceError as error:
        return {"not_computed": str(error)}


def _plain(interval: Interval) -> list[float | None]:
    """[value, low, high]; None of what is no number, which JSON has no word for."""
    return [None if math.isnan(value) else round(value, 4) for value in interval[:3]]
