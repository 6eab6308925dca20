"""Ablation: which parts of the method matter. One arm changes one thing; the same users, budget and seeds.

Arms are trained by `train/loop.py` on a small base, so that each takes minutes on a CPU. A cell is an
arm and a seed (`CellStore.facts`): predictions.jsonl, metrics.jsonl and cell.json. A stored cell is not run
again, so an interrupted ablation continues where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from plus.audit.text_checks import KNOWN, faithfulness
from plus.benchmark import objectives
from plus.benchmark.cells import CellStore
from plus.benchmark.objectives import Objective, ValueBaseline
from plus.errors import EvidenceError
from plus.evaluate import markdown
from plus.evaluate.comparison import write_comparison
from plus.evaluate.controls import readings
from plus.evaluate.predictions import Prediction, to_rows
from plus.jsonl import read_whole_lines, write_json, write_jsonl
from plus.measures import mean
from plus.models.language_model import LanguageModelSummarizer
from plus.models.reward_model import RewardModel
from plus.resources import shipped
from plus.train.coadapt import CoAdaptation
from plus.train.loop import shuffled
from plus.types import Population

REFERENCE = "plus"


@dataclass(frozen=True)
class Arm:
    """Options of one way to train.

    A learning rate of 0 leaves that model as it came; `baseline` is "group" (GRPO), "others" (RLOO) or
    "value" (PPO).
    """

    learning_rate: float = 3e-4
    reward_learning_rate: float = 1e-3
    num_generations: int = 4
    beta: float = 0.02
    scale: objectives.Scale = "batch"
    separate_pairs: bool = False
    baseline: str = "group"
    users_per_step: int = 32
    max_steps: int = 40


ARMS: dict[str, Arm] = {
    REFERENCE: Arm(),
    "trained summarizer, static reward model": Arm(reward_learning_rate=0.0),
    "static summarizer, trained reward model": Arm(learning_rate=0.0),
    "static summarizer, static reward model": Arm(learning_rate=0.0, reward_learning_rate=0.0),
    "separate pairs": Arm(separate_pairs=True),
    "G = 2": Arm(num_generations=2),
    "G = 8": Arm(num_generations=8),
    "beta = 0": Arm(beta=0.0),
    "beta = 0.1": Arm(beta=0.1),
    "advantages scaled by group": Arm(scale="group"),
    "advantages not scaled": Arm(scale="none"),
    "RLOO": Arm(baseline="others"),
    "PPO, value baseline": Arm(baseline="value"),
}


def run_ablation(
    folder: Path,
    load: Callable[[int], Population],
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    arms: Mapping[str, Arm] = ARMS,
    base: Callable[[int], Path] = lambda seed: shipped("tiny_base"),
    on_cell: Callable[[str, int, float, bool], None] = lambda arm, seed, seconds, stored: None,
) -> dict[str, Any]:
    """Run every cell that is not stored yet, then write report.json, report.md and plots.

    `load(seed)` gives the users; `base(seed)` is the models' start, by default the shipped tiny one.
    Raises SettingError when the folder holds cells of other settings.
    """
    store = CellStore(folder)
    predictions: list[Prediction] = []
    measured: dict[str, list[dict[str, Any]]] = {}
    metrics: dict[str, list[dict[str, Any]]] = {}
    # 1. The cells: run, or read where they are stored.
    for seed in seeds:
        population = load(seed)
        for name, arm in arms.items():
            make = partial(run_cell, name, seed, arm, population, base)
            facts, place, stored = store.facts(f"{_slug(name)}-{seed}", asdict(arm), make)
            log = read_whole_lines(place / "metrics.jsonl")
            predictions += _read_predictions(place)
            measured.setdefault(name, []).append(facts | {"updates": updates_to(log)})
            metrics.setdefault(name, log)
            on_cell(name, seed, facts["seconds"], stored)
    # 2. The report: accuracy side by side, then the controls of each arm.
    shown = {name: rows for name, rows in metrics.items() if rows}
    ordered = sorted(predictions, key=lambda p: list(arms).index(p.method))
    drawn = dict(list(shown.items())[:7])  # as many as there are colours
    title = f"Ablation: {', '.join({p['dataset'] for of in measured.values() for p in of})}"
    result = write_comparison(folder, ordered, REFERENCE if REFERENCE in arms else None, title, runs=drawn)
    page = (folder / "report.md").read_text(encoding="utf-8")
    (folder / "report.md").write_text(page + "\n" + _facts_table(measured), encoding="utf-8")
    result["measured"] = measured
    write_json(folder / "report.json", result)
    return result


def train_arm(
    arm: Arm, population: Population, seed: int, base: Path, on_step: Callable[[int, dict[str, float]], None]
) -> tuple[LanguageModelSummarizer, RewardModel]:
    """Train both models for `max_steps` updates of the plain loop."""
    # Both models start from the same base.
    torch.manual_seed(seed)
    summarizer = LanguageModelSummarizer.from_pretrained(base, max_prompt_length=256, max_completion_length=24)
    reward_model = RewardModel.from_pretrained(base, 192)
    coadaptation = CoAdaptation(
        reward_model, torch.optim.AdamW(reward_model.model.parameters(), lr=arm.reward_learning_rate, weight_decay=0.0),
        separate_pairs=arm.separate_pairs, seed=seed,
    )  # fmt: skip
    # The objective of the arm; a value baseline is trained along.
    moved: list[dict[str, Any]] = [{"params": list(summarizer.model.parameters()), "lr": arm.learning_rate}]
    objective: Objective = objectives.grpo(arm.num_generations, arm.beta, arm.scale)
    if arm.baseline == "others":
        objective = objectives.rloo(arm.num_generations, arm.beta)
    elif arm.baseline == "value":
        objective = value = ValueBaseline(summarizer, arm.beta)
        # Ten times the summarizer's: what is expected must keep up with what changes (the paper: 18 times).
        moved.append({"params": list(value.parameters()), "lr": 10 * arm.learning_rate})
    reference = summarizer.reference()
    objectives.train(
        objective,
        lambda histories, count: summarizer.sample(histories, count, reference),
        torch.optim.AdamW(moved, weight_decay=0.0),
        coadaptation,
        shuffled(population.contexts("train"), arm.users_per_step, seed),
        arm.max_steps,
        arm.num_generations,
        on_step,
    )
    return summarizer, reward_model


def run_cell(
    name: str, seed: int, arm: Arm, population: Population, base: Callable[[int], Path], place: Path
) -> dict[str, Any]:
    """Train one arm on one seed and judge it on the test users.

    Writes predictions.jsonl and metrics.jsonl into `place`; returns the facts for cell.json.
    """
    log: list[dict[str, Any]] = []
    started, processor = time.monotonic(), time.process_time()
    summarizer, reward_model = train_arm(
        arm, population, seed, base(seed), lambda step, values: log.append({"step": step, **values})
    )
    trained, processor = time.monotonic() - started, time.process_time() - processor
    # An untrained summarizer samples, as every arm starts from samples; a trained one writes its likeliest text.
    test = population.split("test")
    histories = {example.history.user_id: example.history for example in test}
    summarizer.temperature, summarizer.seed = (0.0 if arm.learning_rate else 1.0), seed
    texts = dict(zip(histories, summarizer.summarize(list(histories.values())), strict=True))
    found = readings(reward_model, test, texts, seed)
    write_jsonl(place / "predictions.jsonl", to_rows(replace(p, method=name) for p in found["own"]))
    write_jsonl(place / "metrics.jsonl", log)
    claims = None
    if population.name in KNOWN:
        claims = asdict(faithfulness(texts, histories.values(), *KNOWN[population.name]))
    return {
        "arm": name,
        "seed": seed,
        "dataset": population.name,
        "settings": asdict(arm),
        "seconds": round(trained, 1),
        "cpu_seconds": round(processor, 1),
        "shuffled": mean(p.right for p in found["shuffled"]),
        "empty": mean(p.right for p in found["empty"]),
        "distinct_summaries": len(set(texts.values())),
        "example": next(iter(texts.values())),
        "faithfulness": claims,
    }


def updates_to(log: Sequence[Mapping[str, Any]], line: float = 0.9) -> int | None:
    """Find the first update at which the mean training accuracy of five reaches the line, or None.

    It tells how fast an arm learns, where all arms end at the ceiling.
    """
    values = [row["accuracy"] for row in log]
    return next((log[n]["step"] for n in range(4, len(log)) if mean(values[n - 4 : n + 1]) >= line), None)


def _read_predictions(place: Path) -> list[Prediction]:
    try:
        return [Prediction(**row) for row in read_whole_lines(place / "predictions.jsonl")]
    except TypeError as error:
        raise EvidenceError(f"{place} cannot be read ({error}); remove it and it is run again") from error


def _facts_table(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Render what the predictions do not hold: controls, true claims and time of each arm, means over seeds."""
    columns = ["arm", "another user's", "no summary", "claims true / traits named"]
    columns += ["updates to 0.9 in training, by seed", "distinct texts", "seconds to train", "a text"]
    rows = []
    for name, cells in measured.items():
        claims = [cell["faithfulness"] for cell in cells if cell["faithfulness"]]
        true = (
            f"{mean(c['precision'] for c in claims):.2f} / {mean(c['recall'] for c in claims):.2f}" if claims else "-"
        )
        rows.append([
            name,
            f"{mean(cell['shuffled'] for cell in cells):.3f}",
            f"{mean(cell['empty'] for cell in cells):.3f}",
            true,
            ", ".join(str(cell["updates"] or "never") for cell in cells),
            f"{mean(cell['distinct_summaries'] for cell in cells):,.0f}",
            f"{mean(cell['seconds'] for cell in cells):.0f}",
            cells[0]["example"],
        ])  # fmt: skip
    return "## Controls of each arm\n\n" + markdown.table(columns, rows) + "\n"


def _slug(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in name.lower())
    return "-".join(part for part in kept.split("-") if part)
