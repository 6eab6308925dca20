"""Training jobs: a run on one data set, judged on new users, and the demo with all its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from plus.errors import ModelError, PlusError
from plus.progress import SILENT, Screen
from plus.recipes.population import admitted, load_population
from plus.recipes.selecting import SelectResult, one_user, select_run
from plus.recipes.writing import WriteResult, write_run

if TYPE_CHECKING:
    from plus.models.reward_model import RewardModel
    from plus.train.run import Trained
    from plus.types import Example, Population

NULL_STEPS = 15
REAL_STEPS = 120  # of the default engine, on the votes that come with plus: half a minute of one core


@dataclass(frozen=True)
class TrainResult:
    """Result of a training run.

    report: what report.json holds: accuracy, controls, the audit and its verdict.
    summaries: user_id -> summary, of every user of the data set.
    bradley_terry: the reward model trained on the same rows without summaries.
    """

    folder: Path
    settings: Mapping[str, Any]
    report: Mapping[str, Any]
    summaries: Mapping[str, str]
    trained: Trained
    bradley_terry: RewardModel


@dataclass(frozen=True)
class DemoResult:
    """Result of the demo: the run folder, what report.json holds, and the promises that were missed."""

    folder: Path
    report: Mapping[str, Any]
    missed: tuple[str, ...]


def train(
    config: str | Path | None = None, screen: Screen = SILENT, **options: Any
) -> TrainResult | SelectResult | WriteResult | None:
    """Train a summarizer and its reward model, judge both on new users, and fill a run folder.

    config: YAML file of options; `options` win over it. They are those of `plus train`: `dataset_name`, `output_dir`,
    `preset` or `model_name_or_path`, and any of TRL's GRPOConfig. Under torchrun only the first process has a result,
    the others return None. Raises SettingError, SourceError and RunError before anything is written.
    """
    given = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return train_run(train_settings(given, Path(config) if config else None), screen)


def train_settings(given: Mapping[str, Any], config: Path | None = None) -> dict[str, Any]:
    """Resolve the options of a run; without a model named, those of the select engine. Raises SettingError."""
    from plus.train import select_run, write_run
    from plus.train import settings as of_language_models

    merged = {
        **of_language_models.from_yaml(config),
        **{key: value for key, value in given.items() if value is not None},
    }
    if write_run.is_meant(merged):
        return write_run.resolve(select_run.continued(merged))
    if select_run.is_meant(merged):
        return select_run.resolve(select_run.continued(merged))
    return of_language_models.resolve(of_language_models.continued(merged))


def train_run(settings: Mapping[str, Any], screen: Screen = SILENT) -> TrainResult | SelectResult | WriteResult | None:
    """Train with resolved settings, judge on new users, and leave everything in the run folder."""
    if settings.get("engine") == "select":
        return select_run(settings, screen)
    if settings.get("engine") == "write":
        return write_run(settings, screen)
    with screen.loading("loading torch, transformers and trl"):
        from plus.baselines import bradley_terry
        from plus.train import run as training
        from plus.train.run_folder import Progress
    # 1. The data.
    population = admitted(settings, load_population(settings), screen)
    # 2. The method, and the baseline on the same rows.
    with screen.bar("plus") as show:
        trained = training.train(settings, population, screen.say, [Progress(show)])
    if not trained.main:  # Of several processes the first does the rest.
        return None
    plain = _baseline("bradley_terry", settings, population, bradley_terry.summaries(population.histories), screen)
    plain.save_pretrained(trained.folder / "bradley_terry")
    # 3. Summaries of every user, and the verdict on new ones.
    with screen.status("summarizing every user and judging on new ones"):
        summaries = training.write_summaries(trained.folder, trained.summarizer, population)
        report = _judge(population, trained, summaries, plain)
        _write(settings, report)
    return TrainResult(trained.folder, settings, report, summaries, trained, plain)


def train_forecast(settings: Mapping[str, Any], screen: Screen = SILENT) -> None:
    """Say what a run would read, and of a language model what it would take: memory, and seconds of an update.

    Nothing is fetched for it: of a model that is not here, a line says so. Raises SourceError where the data cannot
    be used.
    """
    if settings.get("engine") == "select":
        admitted(settings, load_population(settings), screen)
        return
    names = [str(settings[key]) for key in ("model_name_or_path", "reward_model_name_or_path")]
    here = ("tiny", "smollm2", "embeddings")
    if away := [name for name in names if name not in here and not Path(name).exists()]:
        screen.say(f"no estimate: {away[0]} is not on this machine")
        return
    with screen.loading("loading torch, transformers and trl"):
        from plus.train import run, write_run

    forecast = write_run.forecast if settings.get("engine") == "write" else run.forecast
    population = admitted(settings, load_population(settings), screen)
    try:
        for line in forecast(settings, population):
            screen.say(line)
    except PlusError as error:
        screen.say(f"no estimate: {error}")


def demo(
    seed: int = 0, output_dir: str | Path | None = None, share_prefix: bool = True, screen: Screen = SILENT
) -> DemoResult:
    """Run the method on synthetic users with all its controls, then the default engine on real people's votes.

    output_dir: default runs/demo-SEED, or the next free name. share_prefix: read each history once for all its
    summaries. Takes two to four minutes on two cores. Raises RunError when the folder is in use.
    """
    started = monotonic()
    with screen.loading("loading torch, transformers and trl"):
        from plus.benchmark.evidence import missed
        from plus.train import settings as train_settings
        from plus.worlds import pets
    folder = Path(output_dir) if output_dir else _free(Path("runs") / f"demo-{seed}")
    chosen = {"dataset_name": "pets", "seed": seed, "output_dir": str(folder), "share_prefix": share_prefix}
    settings = train_settings.resolve({"preset": "tiny", **chosen})
    population = pets.load(seed)
    test = population.split("test")
    screen.say(f"{population.name}: {len(population.histories):,} users, {len(test):,} test choices, each mirrored")
    result = _synthetic(settings, population, screen)
    result["null"] = _null(settings, pets.permuted(population, seed), screen)
    result["real"] = _real_people(folder, seed, screen)
    result |= {"seed": seed, "run": str(folder), "missed": missed(result)}
    _write(settings, result)
    result["seconds"] = round(monotonic() - started, 1)
    return DemoResult(folder, result, tuple(result["missed"]))


def _synthetic(settings: Mapping[str, Any], population: Population, screen: Screen) -> dict[str, Any]:
    """Train on users whose taste is known; report accuracy, controls, faithfulness and five examples."""
    from plus.audit.text_checks import faithfulness
    from plus.baselines import bradley_terry, oracle, untrained
    from plus.train import run as training
    from plus.train.run_folder import Progress
    from plus.worlds import pets

    folder, test, seed = Path(settings["output_dir"]), population.split("test"), int(settings["seed"])
    # 1. Before: what the language model writes as it came.
    base, _ = training.start_models(settings)
    before = untrained.summaries(population, base, seed)
    shown = [example.history for example in test[:5]]
    before_greedy = base.summarize(shown)
    # 2. The method.
    with screen.bar("plus") as show:
        trained = training.train(settings, population, screen.say, [Progress(show)])
    with screen.status("summarizing every user"):
        summaries = training.write_summaries(folder, trained.summarizer, population)
    # 3. Baselines: the same reward model trained on other texts.
    texts = {"bradley_terry": bradley_terry.summaries(population.histories), "untrained": before}
    texts["oracle"] = oracle.summaries(population)
    models = {name: _baseline(name, settings, population, of_user, screen) for name, of_user in texts.items()}
    models["bradley_terry"].save_pretrained(folder / "bradley_terry")
    # 4. The verdict on users never met.
    with screen.status("judging on users never met"):
        others = {"a reward model trained on true personas": models["oracle"]}
        result = _judge(population, trained, summaries, models["bradley_terry"], others)
        result["accuracy"] |= {name: _accuracy(models[name], texts[name], test) for name in ("untrained", "oracle")}
        found = faithfulness(summaries, [e.history for e in test], pets.claims, pets.traits, pets.favourite_of)
        result["faithfulness"] = {"precision": found.precision, "recall": found.recall}
    result["examples"] = [
        {"user_id": h.user_id, "before": old, "after": summaries[h.user_id], "truth": population.personas[h.user_id]}
        for h, old in zip(shown, before_greedy, strict=True)
    ]
    return result


def _baseline(
    name: str, settings: Mapping[str, Any], population: Population, texts: Mapping[str, str], screen: Screen
) -> RewardModel:
    """Train the run's reward model anew on `texts[user_id]`: same rows, budget and optimizer."""
    from plus.train import run as training

    total = training.steps(settings, population)
    with screen.bar(name) as show:
        return training.train_baseline(
            settings, population, texts, lambda step, loss: show(step, total, {"loss": loss})
        )


def _accuracy(model: RewardModel, texts: Mapping[str, str], test: Sequence[Example]) -> float:
    from plus.measures import accuracy

    own = [texts[example.history.user_id] for example in test]
    return accuracy(model.log_likelihood(own, [example.target for example in test]))


def _null(settings: Mapping[str, Any], null: Population, screen: Screen) -> dict[str, Any]:
    """Train on choices permuted across users: the accuracy, which must be chance."""
    from plus.train import run as training
    from plus.train.run_folder import Progress

    folder = Path(settings["output_dir"]) / "null"
    with screen.bar("null run") as show:
        changed = {**settings, "output_dir": str(folder), "max_steps": NULL_STEPS}
        permuted = training.train(changed, null, lambda line: None, [Progress(show)])
    test: list[Example] = null.split("test")
    written = permuted.summarizer.summarize([example.history for example in test])
    texts = dict(zip(null.users("test"), written, strict=True))
    return {"accuracy": _accuracy(permuted.reward_model, texts, test), "steps": NULL_STEPS}


def _real_people(folder: Path, seed: int, screen: Screen) -> dict[str, Any]:
    """Train the default engine on the votes that come with plus: its gains, and one voter's summary line by line."""
    from plus.resources import shipped
    from plus.train import select_run as select_engine

    given = {"dataset_name": "polis", "data_dir": str(shipped("polis_taxes")), "output_dir": str(folder / "polis")}
    try:
        done = select_run(select_engine.resolve({**given, "seed": seed, "max_steps": REAL_STEPS}), screen)
    except ModelError as error:  # The extra is missing, or the sentence model itself.
        return {"not_run": str(error)}
    kept = {key: done.report[key] for key in ("dataset", "accuracy", "controls", "test", "verdict", "gains")}
    return kept | {"steps": REAL_STEPS, "voter": one_user(done)}


def _judge(
    population: Population,
    trained: Trained,
    summaries: Mapping[str, str],
    plain: RewardModel,
    others: Mapping[str, RewardModel] | None = None,
) -> dict[str, Any]:
    """Judge a trained run on its test users; write its page and predictions."""
    from plus.audit.report import evaluate_models, write_page

    found = evaluate_models(population, trained.reward_model, summaries, plain, trained.summarizer, others)
    result = found.to_json()
    write_page(trained.folder, result["audit"], found.predictions, trained.folder)
    return result


def _write(settings: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Write report.json, the curves and the model card."""
    from plus.audit.report import write_card
    from plus.evaluate.figures import plot_curves
    from plus.jsonl import write_json

    folder = Path(settings["output_dir"])
    write_json(folder / "report.json", result)
    plot_curves(folder)
    write_card(folder, settings, result)


def _free(folder: Path) -> Path:
    """Name the folder, or the first of folder-2, folder-3, ... that does not exist."""
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found
