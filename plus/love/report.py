"""Evaluation of P[Love] and the whole job of `plus love`: read reactions, guard, evaluate on held-out users, save.

P[Love] is evaluated on users that training never met, or on later reactions, against the additive baseline, and
beside its AUROC stands everything that can make it misleading: calibration, length, drift, single users, and
offline to online.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from plus.errors import EvidenceError, SettingError
from plus.evaluate.calibration import CalibrationError
from plus.evaluate.intervals import Interval
from plus.jsonl import read_summaries, write_json
from plus.love import reactions
from plus.love.batches import Events, Upsampling, UserTexts
from plus.love.guards import OFF, Guards, Suspect, guard
from plus.love.measures import (
    ScoredReaction,
    Slope,
    Window,
    auroc,
    auroc_difference,
    calibration_error,
    calibration_slope,
    drift,
    length_correlation,
)
from plus.love.model import CLASSIFIER, Love, LoveModel, LoveSettings, classifier_models, frozen_models
from plus.love.offline import OfflineToOnline, offline_to_online
from plus.love.reactions import reaction_of
from plus.love.regressions import Influence, influence
from plus.love.run import LOVE, OnStep, Rows, fit, score_splits
from plus.love.splits import Split, split_by_time, split_by_user
from plus.progress import SILENT, Screen, Show
from plus.sources.columns import ColumnMap
from plus.train.run_folder import refuse_if_used
from plus.types import Dropped, Reaction

INFLUENCE_ANSWERS = 5000  # with more distinct answers the table of users by answers is too large


@dataclass(frozen=True)
class LoveEvaluation:
    """Measures of P[Love] on test reactions, by method where there are several.

    split: "new users" or "later reactions". timed: every reaction has a time.
    gain: AUROC of P[Love] minus that of each other method. groups: AUROC of P[Love] by group of users.
    offline_to_online: lifts of policies, or the reason why they could not be computed.
    """

    split: str
    timed: bool
    test_users: int
    test_reactions: int
    users_without_later_reactions: int
    auroc: Mapping[str, Interval]
    gain: Mapping[str, Interval]
    groups: Mapping[str, Interval]
    calibration_error: CalibrationError
    calibration: Slope
    length_correlation: Interval
    drift: tuple[Window, ...]
    offline_to_online: OfflineToOnline | str

    def to_json(self) -> dict[str, Any]:
        """Give the part of report.json that holds the measures."""
        online = self.offline_to_online
        return {
            "split": self.split,
            "timed": self.timed,
            "test_users": self.test_users,
            "test_reactions": self.test_reactions,
            "users_without_later_reactions": self.users_without_later_reactions,
            "auroc": {name: _plain(value) for name, value in self.auroc.items()},
            "gain": {name: _plain(value) for name, value in self.gain.items()},
            "groups": {name: _plain(value) for name, value in self.groups.items()},
            "calibration": {
                **self.calibration_error._asdict(),
                "slope": _plain(self.calibration.slope),
                "intercept": _plain(self.calibration.intercept),
            },
            "length_correlation": _plain(self.length_correlation),
            "drift": [
                {**window._asdict(), "difference": _plain(window.difference), "auroc": _plain(window.auroc)}
                for window in self.drift
            ],
            "offline_to_online": {"not_computed": online} if isinstance(online, str) else online.to_json(),
        }


@dataclass(frozen=True)
class LoveResult:
    """Result of `plus.love`: the data, the evaluation, the users to look at, and the model where it was kept.

    dropped, corrected: reason -> how many reactions. love: trained on all users; None without `output_dir`.
    """

    users: int
    reactions: int
    love_rate: float
    model: str
    settings: LoveSettings
    dropped: Dropped
    corrected: Dropped
    suspects: tuple[Suspect, ...]
    evaluation: LoveEvaluation
    influence: tuple[Influence, ...]
    love: Love | None

    def to_json(self) -> dict[str, Any]:
        """Give what report.json and `plus love --json` hold."""
        return {
            "users": self.users,
            "reactions": self.reactions,
            "love_rate": self.love_rate,
            "condition": self.settings.condition,
            "model": self.model,
            "settings": asdict(self.settings),
            "dropped": dict(self.dropped),
            "mended": dict(self.corrected),
            "suspects": [asdict(one) for one in self.suspects],
            **self.evaluation.to_json(),
            "influence": [one._asdict() for one in self.influence],
        }


def love(
    files: Sequence[str | Path],
    condition: str = "history",
    summaries: str | Path | None = None,
    split_by: str = "users",
    positive_share: float = 0.1,
    model_name_or_path: str | Path = "frozen",
    guards: bool = True,
    max_per_user: int = 500,
    max_steps: int | None = None,
    learning_rate: float | None = None,
    user_id_column: str = "user_id",
    output_dir: str | Path | None = None,
    seed: int = 0,
    screen: Screen = SILENT,
    map: ColumnMap = None,
) -> LoveResult:
    """Read reactions, train P[Love], evaluate it on held-out users, and save a model of all users.

    files: rows of user_id, prompt, completion, label (`map`: "label=vote"); profile stores; or Polis folders.
    condition: text about a user: history, summary (from `summaries`, JSON lines), or none.
    split_by: users (test on users never met) or time (test on the latest reactions).
    output_dir: folder of the model trained on all users, with report.json; without it none is trained.
    Raises SettingError, SourceError, EvidenceError, RunError.
    """
    if split_by not in ("users", "time"):
        raise SettingError(f"--split_by is {split_by!r}; it takes users or time")
    Upsampling.of(0.5, positive_share)
    dropped, corrected = Dropped(), Dropped()
    with screen.status("reading"):
        known = reactions.load(files, dropped, corrected, user_id_column, columns=map)
        events, suspects = guard(known, replace(Guards(), max_per_user=max_per_user) if guards else OFF, dropped, seed)
    _say_counts(dropped, corrected, screen)
    splits = (split_by_time if split_by == "time" else split_by_user)(events, seed=seed)
    folder = Path(output_dir) if output_dir is not None else None
    if folder is not None:
        refuse_if_used(folder)
    # 2. The model, its budget, and the text about each user.
    user_texts = UserTexts(condition, read_summaries(Path(summaries)) if summaries else {})
    frozen = str(model_name_or_path) == "frozen"
    settings = _settings(frozen, condition, positive_share, max_steps, learning_rate, seed)
    prompts = {reaction_of(event).prompt for past in events.values() for event in past}
    new_model = frozen_models(len(prompts) > 1) if frozen else classifier_models(model_name_or_path)
    # 3. Train and evaluate on each split, then train on all users.
    with screen.bar("P[Love]") as show:
        on_step = _progress(show, settings.max_steps * settings.members * (len(splits) + (folder is not None)))
        scored = score_splits(splits, settings, new_model, user_texts, on_step)
        final = fit(events, settings, new_model, user_texts, on_step) if folder is not None else None
    # 4. The report, beside the model where one is kept.
    with screen.status("intervals"):
        features, labels = features_of(new_model(), events), reactions.labels_of(events)
        result = LoveResult(
            len(events), len(labels), sum(labels) / len(labels), str(model_name_or_path), settings, dropped, corrected,
            tuple(suspects), evaluate(scored, splits, features, seed), tuple(most_influential(events, features)), final,
        )  # fmt: skip
    if final is not None and folder is not None:
        final.save(folder)
        write_json(folder / "report.json", result.to_json())
        screen.say(f"the model and report.json are in {folder}")
    return result


def _say_counts(dropped: Dropped, corrected: Dropped, screen: Screen) -> None:
    for title, counter in (("left out", dropped), ("mended", corrected)):
        for line in counter.lines():
            screen.say(f"{title}: {line}")


def _progress(show: Show, total: int) -> OnStep:
    """Show every tenth update of all trainings of a job."""
    steps = count(1)

    def on_step(step: int, loss: float) -> None:
        number = next(steps)
        if number % 10 == 0:
            show(number, total, {"loss": loss})

    return on_step


def _settings(
    frozen: bool, condition: str, positive_share: float, max_steps: int | None, learning_rate: float | None, seed: int
) -> LoveSettings:
    defaults = LoveSettings() if frozen else CLASSIFIER
    steps = max_steps or defaults.max_steps
    return replace(
        defaults, condition=condition, positive_share=positive_share, seed=seed, max_steps=steps,
        learning_rate=learning_rate or defaults.learning_rate, look_every=min(defaults.look_every, steps),
    )  # fmt: skip


def evaluate(
    scored: Rows, splits: Sequence[Split], features: Mapping[str, Sequence[float]], seed: int = 0
) -> LoveEvaluation:
    """Compute every measure from scored test reactions; `features` by answer serve offline to online."""
    rows = scored[LOVE]
    timed = all(split.timed for split in splits)
    return LoveEvaluation(
        split="later reactions" if splits[0].cut is not None else "new users",
        timed=timed,
        test_users=len({row.user_id for row in rows}),
        test_reactions=len(rows),
        users_without_later_reactions=sum(split.left_out for split in splits),
        auroc={name: auroc(of_method) for name, of_method in scored.items()},
        gain={name: auroc_difference(rows, scored[name]) for name in scored if name != LOVE},
        groups={name: auroc([r for r in rows if r.group == name]) for name in sorted({r.group for r in rows})},
        calibration_error=calibration_error(rows),
        calibration=calibration_slope(rows),
        length_correlation=length_correlation(rows),
        drift=tuple(drift(rows)) if timed else (),
        offline_to_online=_offline_to_online(rows, features, seed),
    )


def most_influential(events: Events, features: Mapping[str, Sequence[float]]) -> list[Influence]:
    """Find the users who move an answer's logit most; [] where there are too many answers for a table."""
    return influence(events, features) if len(features) <= INFLUENCE_ANSWERS else []


def features_of(model: LoveModel, events: Events) -> dict[str, list[float]]:
    """Compute the frozen features of each distinct answer."""
    answers: dict[str, Reaction] = {}
    for past in events.values():
        for event in past:
            answers.setdefault(reaction_of(event).completion, reaction_of(event))
    vectors = model.features(list(answers.values())).tolist()
    return dict(zip(answers, vectors, strict=True))


def ranking(model: Love, texts: Sequence[str], answers: Sequence[Reaction]) -> list[float]:
    """Average the P(love) of each answer over texts about users."""
    logits = model.logits([text for text in texts for _ in answers], [*answers] * len(texts))
    size = len(answers)
    return [sum(1 / (1 + math.exp(-value)) for value in logits[number::size]) / len(texts) for number in range(size)]


def _offline_to_online(
    rows: Sequence[ScoredReaction], features: Mapping[str, Sequence[float]], seed: int
) -> OfflineToOnline | str:
    try:
        return offline_to_online(rows, features, seed=seed)
    except EvidenceError as error:
        return str(error)


def _plain(interval: Interval) -> list[float | None]:
    """Give [value, low, high] rounded; None for NaN, which JSON does not have."""
    return [None if math.isnan(value) else round(value, 4) for value in interval[:3]]
