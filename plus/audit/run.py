"""Audit job: load a scorer, its texts and other readers, run every control, write the report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plus.errors import SettingError
from plus.jsonl import read_summaries, write_json
from plus.progress import SILENT, Screen
from plus.types import Population, Scorer, Summarizer

# Models are imported when the options are known to be good: a mistake is told at once, and without torch.
if TYPE_CHECKING:
    from plus.audit.findings import Audit
    from plus.evaluate.predictions import Prediction
    from plus.train.run import Trained
    from plus.train.select import Selected
    from plus.train.write_run import Written

PASTED_EVENTS = 8  # newest events that are pasted in where there is no summary


@dataclass(frozen=True)
class Subject:
    """Subject of an audit: a scorer, the texts it reads, and what else can be used.

    `readers` were never fitted to these texts. `summarizer` is None where texts were given. `trained` are the users
    that a run's record says it was trained on.
    """

    settings: Mapping[str, Any]
    population: Population
    scorer: Scorer
    summaries: Mapping[str, str]
    summarizer: Summarizer | None
    readers: dict[str, Scorer] = field(default_factory=dict)
    trained: frozenset[str] = frozenset()


def audit(
    run: str | Path | None = None,
    *,
    reward_model: str | None = None,
    reward_function: str | None = None,
    judge_model: str | None = None,
    base_url: str | None = None,
    dataset_name: str | None = None,
    data_dir: str | None = None,
    summaries: Path | None = None,
    other_runs: Sequence[Path] = (),
    persona_steps: int = 0,
    null_steps: int = 0,
    max_examples: int | None = None,
    seed: int = 42,
    output_dir: Path | None = None,
    http_client: Any = None,
    screen: Screen = SILENT,
) -> Audit:
    """Run every control that can expose a scorer which only seems personal.

    Audited is one of `run` (a run folder), `reward_model` (a Hub id or a folder), `reward_function`
    (module:function) or the judge behind `judge_model` and `base_url`; beside another scorer the judge
    is a reader. All but a run need `dataset_name`. `summaries` is a JSON lines file of user_id and
    summary, by default the run's, else the past is pasted in. `persona_steps` and `null_steps` are
    updates of a reader of true personas and of a null run. With `output_dir`, a new folder, the
    report is written. `http_client` takes requests instead of the network (a dry run): then no key is
    needed and nothing is written. Raises SettingError where it is not clear what to audit or where to
    write, EvidenceError where there is too little to judge on.
    """
    # 1. Refuse mistaken options, then load what is audited.
    scorers = {"RUN": run, "--reward_model": reward_model, "--reward_function": reward_function}
    _refuse(scorers, judge_model, base_url, output_dir)
    if http_client is not None and judge_model is None:
        raise SettingError("without --judge_model nothing would be sent; --dry-run shows what a judge would be")
    if run is None:
        _refuse_without_run(dataset_name, null_steps or persona_steps)
    data = {"dataset_name": dataset_name, "data_dir": data_dir, "seed": seed}
    endpoint = (judge_model, base_url) if judge_model and base_url else None
    subject = _subject(scorers, endpoint, http_client, data, summaries, other_runs, screen)
    # 2. Train the reader and the null run of this audit.
    null = None
    if persona_steps and subject.population.personas:
        reader = _persona_reader(subject, persona_steps, screen)
        subject.readers["a reward model trained on true personas"] = reader
    if null_steps:
        null = _null_readings(subject, null_steps, screen)
    # 3. Run the controls and write the report.
    found = _examine(subject, null, max_examples, screen)
    if persona_steps and not subject.population.personas:
        why = f"{subject.population.name} has real users, whose true taste nobody knows"
        found = replace(found, not_run={**found.not_run, "a reader of true personas": why})
    if output_dir is not None and http_client is None:
        write_audit(output_dir, found, None if run is None else Path(run))
    return found


def _refuse(scorers: Mapping[str, Any], judge_model: str | None, base_url: str | None, output_dir: Path | None) -> None:
    """Raise SettingError where it is not clear which scorer to audit, or where to write."""
    named = [name for name, given in scorers.items() if given]
    if len(named) > 1:
        raise SettingError(f"{' and '.join(named)} were both given; audit one scorer at a time")
    if not named and not judge_model:
        raise SettingError("nothing to audit; give a run folder, --reward_model, --reward_function or --judge_model")
    if (judge_model is None) != (base_url is None):
        raise SettingError("--judge_model and --base_url belong together; give both")
    if output_dir is not None and output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise SettingError(f"{output_dir} is in use and nothing is overwritten; give another --output_dir")


def _refuse_without_run(dataset_name: str | None, steps: int) -> None:
    """Raise SettingError where there is nothing to predict, or something to train and no run to train as."""
    if dataset_name is None:
        raise SettingError("--dataset_name is missing")
    if steps:
        raise SettingError("--null_steps and --persona_steps train anew, which takes a run folder")


def names_of(runs: Iterable[Path]) -> dict[str, Path]:
    """Name runs by their folders, or by their paths where two share a name: a report holds no other places."""
    runs = list(runs)
    names = [run.resolve().name for run in runs]
    return {name if names.count(name) == 1 else str(run): run for name, run in zip(names, runs, strict=True)}


def null_run(
    settings: Mapping[str, Any],
    population: Population,
    folder: Path,
    max_steps: int,
    show: Callable[[int, int, Mapping[str, Any]], None] = lambda step, total, metrics: None,
) -> dict[str, list[Prediction]]:
    """Train on targets dealt to other users, where no taste can be learned, and read the test users' (`readings`).

    A sound training ends at chance. The run of `max_steps` updates, by the engine of `settings`, is left in `folder`,
    which must be new.
    """
    from plus.evaluate.controls import readings
    from plus.train import run, select_run, write_run
    from plus.train.run_folder import Progress
    from plus.worlds import pets

    null = pets.permuted(population, settings.get("seed", 42))
    changed = {**settings, "output_dir": str(folder), "max_steps": max_steps, "resume_from_checkpoint": None}
    trained: Selected | Trained | Written
    if settings.get("engine") == select_run.ENGINE:
        trained = select_run.train(changed, null, lambda line: None, show)[0]
    elif settings.get("engine") == write_run.ENGINE:
        trained = write_run.train(write_run.shortened(changed, max_steps), null, lambda line: None, show)
    else:
        trained = run.train(changed, null, lambda line: None, [Progress(show)])
    test = null.split("test")
    histories = {example.history.user_id: example.history for example in test}
    texts = dict(zip(histories, trained.summarizer.summarize(list(histories.values())), strict=True))
    return readings(trained.reward_model, test, texts)


def write_audit(folder: Path, audit: Audit, run: Path | None = None) -> None:
    """Write report.json, report.md, predictions.jsonl and plots into a new `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    from plus.audit.report import write_page

    report = audit.to_json()
    write_json(folder / "report.json", report)
    write_page(folder, report, audit.predictions, run)


def _subject(
    scorers: Mapping[str, Any],
    endpoint: tuple[str, str] | None,
    http_client: Any,
    data: Mapping[str, Any],
    summaries: Path | None,
    other_runs: Sequence[Path],
    screen: Screen,
) -> Subject:
    """Load the scorer, the population, the texts and the readers."""
    run, reward_model, reward_function = scorers.values()
    with screen.loading("loading"):
        from plus import datasets
        from plus.evaluate.controls import PastedHistory
        from plus.evaluate.reward_function import RewardFunction
        from plus.judge.panel import Judge
        from plus.models.reward_model import RewardModel
        from plus.models.run import load
        from plus.serve.endpoint import Endpoint
        from plus.train import data_record, run_folder

        settings = data if run is None else run_folder.read_config(Path(run))
        population = datasets.from_settings({"data_dir": None, **settings})
        if run is not None:
            population = data_record.admit(Path(run), population, screen.say)
        judge = Judge(Endpoint(endpoint[1], endpoint[0], http_client=http_client)) if endpoint else None
        loaded = None if run is None else load(run)
        readers: dict[str, Scorer] = {
            f"the reward model of {name}": load(other).reward_model for name, other in names_of(other_runs).items()
        }
    # The scorer; of a run also its summarizer and its summaries.
    summarizer: Summarizer | None = None
    texts: Mapping[str, str] = {}
    scorer: Scorer | None = judge
    if loaded is not None:
        scorer, summarizer, texts = loaded.reward_model, loaded.summarizer, loaded.summaries
    elif reward_model:
        scorer = RewardModel.from_pretrained(reward_model)
    elif reward_function:
        scorer = RewardFunction.named(reward_function)
    assert scorer is not None  # `_refuse` has seen to it.
    if judge is not None and endpoint and scorer is not judge:
        readers[f"zero-shot judge {endpoint[0]}"] = judge
    # The texts: given, or the run's, or written now.
    if summaries is not None:
        texts, summarizer = read_summaries(summaries), None
    else:  # Of a run, users who came since are summarized now.
        summarizer = summarizer or PastedHistory(PASTED_EVENTS)
        new = [history for user, history in population.histories.items() if user not in texts]
        with screen.status("writing a text about every user"):
            written = summarizer.summarize(new) if new else []
        texts = {**texts, **{history.user_id: text for history, text in zip(new, written, strict=True)}}
    trained = data_record.trained_users(data_record.read(Path(run)) or {}) if run is not None else set()
    return Subject(settings, population, scorer, texts, summarizer, readers, frozenset(trained))


def _persona_reader(subject: Subject, steps: int, screen: Screen) -> Scorer:
    """Train a reward model on the true personas, with the run's options."""
    from plus.baselines import oracle
    from plus.train import run, select_run, write_run

    settings, personas = {**subject.settings, "max_steps": steps}, oracle.summaries(subject.population)
    by_engine: dict[str, Callable[..., Scorer]] = {
        select_run.ENGINE: select_run.train_baseline, write_run.ENGINE: write_run.train_baseline,
    }  # fmt: skip
    train_baseline: Callable[..., Scorer] = by_engine.get(str(settings.get("engine")), run.train_baseline)
    with screen.bar("true personas") as show:
        return train_baseline(
            settings, subject.population, personas, lambda step, loss: show(step, steps, {"loss": loss})
        )


def _examine(subject: Subject, null: Any, max_examples: int | None, screen: Screen) -> Audit:
    from plus.audit.examine import examine

    with screen.status("auditing"):
        examples = subject.population.split("test")[:max_examples]
        return examine(
            subject.population, subject.scorer, subject.summaries, subject.summarizer, subject.readers, null, examples,
            subject.trained,
        )  # fmt: skip


def _null_readings(subject: Subject, steps: int, screen: Screen) -> dict[str, list[Prediction]]:
    """Train a null run of the run's options in a folder that is removed, and read the test users'."""
    with tempfile.TemporaryDirectory() as folder, screen.bar("null run") as show:
        return null_run(subject.settings, subject.population, Path(folder) / "null", steps, show)
