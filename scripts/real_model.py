"""Judge a run of the write engine on SPI or Polis beside what it has to beat: python scripts/real_model.py RUN

RUN is the folder of `plus train --dataset_name spi|polis ... --reward_model_name_or_path embeddings`. On its test users
each text is read by a reward model of its kind, trained on the run's training users: the run's own (PLUS, imitation,
the rule's sentences, selected events, nothing), that one after more training on zero-shot texts, or one trained on
such texts alone (the whole history; on SPI the scale scores in words). --imitation takes a copy of RUN/checkpoint.pt
made while GRPO trained.
Writes RUN/real_model.md: arms, differences, the goals of targets.toml, claims checked against scores (SPI), and what is
written of the first ten test users before and after; RUN/real_model.json, every prediction (RUN/predictions.jsonl), and
RUN/zero_shot.jsonl and imitation.jsonl. Several runs, of other seeds, that were judged: `real_model_seeds.py`.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from peft import set_peft_model_state_dict

from plus import datasets
from plus.benchmark import spi_claims
from plus.benchmark.real_people import targets_table
from plus.benchmark.spi_people import MEAN_TO_SHARE, oracle_words
from plus.errors import PlusError
from plus.evaluate.controls import other_users
from plus.evaluate.intervals import paired_difference, user_interval
from plus.evaluate.markdown import table
from plus.evaluate.predictions import Prediction, predict, to_rows
from plus.evaluate.scorecard import plain
from plus.jsonl import append_jsonl, read_summaries, write_json, write_jsonl
from plus.measures import mean
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.loading import lora_config
from plus.models.prose import SelectThenWrite
from plus.models.run import load
from plus.prompts import event_lines
from plus.sources import spi
from plus.sources.folds import agreement, is_controversial
from plus.train import run_folder, select_run, write_run
from plus.train.coadapt import CoAdaptation
from plus.train.reward_only import one_thread, train_reward_model
from plus.train.select import SelectData, train_on_texts
from plus.types import Preference, UserHistory

ZERO_SHOT_USERS, ZERO_SHOT_STEPS, RATE = 100, 150, 2e-4  # who the reader of zero-shot texts learns from
GROUPS = {"spi": "20 known ratings", "polis": "new users"}
DIFFERENCES = [
    *(("plus", other) for other in ("zero_shot", "imitation", "plus, shuffled", "nothing", "selected", "in_context")),
    *((other, "nothing") for other in ("zero_shot", "imitation", "rule", "oracle_27")),
    ("plus, shuffled", "population_mean"),
    ("zero_shot", "zero_shot, shuffled"),
]
Texts = Mapping[str, str]


class Rates:
    """`Scorer` by the population alone: how well training users like an answer."""

    def __init__(self, rates: Mapping[str, float]) -> None:
        self.rates = rates

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log sigmoid of the difference of rates."""
        apart = torch.tensor([self.rates.get(p.chosen, 0.5) - self.rates.get(p.rejected, 0.5) for p in pairs])
        values: list[float] = torch.nn.functional.logsigmoid(apart.double()).tolist()
        return values


class Judged:
    """A finished run, its population, and the predictions of every arm on its test users."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, run_folder.read_config(folder)
        self.name, self.seed = str(self.settings["dataset_name"]), int(self.settings["seed"])
        self.population, self.run = datasets.from_settings(self.settings), load(folder)
        self.data, self.examples = SelectData.of(self.population), self.population.split("test")
        self.selects = cast(SelectThenWrite, self.run.summarizer)
        self.reader = cast(EmbeddingRewardModel, self.run.reward_model)
        self.histories = {e.history.user_id: e.history for e in self.examples}
        self.found: dict[str, list[Prediction]] = {}

    @cached_property
    def spi(self) -> spi.Spi | None:
        """SPI's ratings and keys; None for another data set."""
        return spi.read(self.settings["data_dir"]) if self.name == "spi" else None

    @cached_property
    def rates(self) -> dict[str, float]:
        """How well the training users like each answer, 0 to 1 (SPI: half the mean rating)."""
        if self.spi is None:
            return agreement(self.data.events, self.data.events)
        means = zip(self.spi.statements, self.spi.means(list(self.data.events)), strict=True)
        return {statement.text: value * MEAN_TO_SHARE for statement, value in means}

    def add(self, name: str, reader: Any, texts: Texts, shuffled: bool = False) -> None:
        """Predict with a text for each user, and with another user's."""
        self.found[name] = predict(
            name, self.seed, reader, [texts[e.history.user_id] for e in self.examples], self.examples
        )
        if shuffled:
            others = [texts[user] for user in other_users(self.examples)]
            self.found[f"{name}, shuffled"] = predict(f"{name}, shuffled", self.seed, reader, others, self.examples)
        print(f"{name}: {mean(p.right for p in self.found[name]):.3f}", flush=True)

    def trained_on(self, write: Callable[[Sequence[UserHistory]], list[str]]) -> EmbeddingRewardModel:
        """Train a reward model of the run's kind on texts alone."""
        budget = select_run.budget_of(write_run.of_select(self.settings), self.population, self.data)
        return train_on_texts(self.data, self.reader.embeddings, budget, write, self.seed)

    def reads_zero_shot(self, texts: Texts) -> EmbeddingRewardModel:
        """Train the run's reward model on, on zero-shot texts of training users as they were first cut."""
        reader = copy.copy(self.reader)
        reader.model = copy.deepcopy(self.reader.model)
        rows = [row for row in self.data.training if row.history.user_id in texts]
        rng = random.Random(self.seed)
        batches = ([rng.choice(rows) for _ in range(32)] for _ in range(ZERO_SHOT_STEPS))
        optimizer = torch.optim.AdamW(reader.model.parameters(), lr=RATE, weight_decay=0.05)
        with one_thread():
            train_reward_model(
                CoAdaptation(reader, optimizer, pairs_per_user=12, seed=self.seed),
                lambda of: [texts[h.user_id] for h in of], batches, ZERO_SHOT_STEPS,
            )  # fmt: skip
        return reader

    def written(self, name: str, histories: Mapping[str, UserHistory], imitation: Path | None = None) -> Texts:
        """Write with the untrained model, or with the adapters of a checkpoint, what is not written yet."""
        path = self.folder / f"{name}.jsonl"
        kept = read_summaries(path) if path.exists() else {}
        left = [history for user, history in histories.items() if user not in kept]
        if not left:
            return kept
        writer = write_run.load_writer(self.settings)
        if imitation is not None:
            writer.add_adapters(lora_config(writer.model, "CAUSAL_LM", **write_run.lora(self.settings)))
            set_peft_model_state_dict(writer.model, torch.load(imitation, weights_only=True)["imitated"])
            writer.merge_adapters()
        model = SelectThenWrite(self.selects.selector, writer)
        for start in range(0, len(left), 32):
            part = left[start : start + 32]
            for history, text in zip(part, model.summarize(part), strict=True):
                append_jsonl(path, {"user_id": history.user_id, "summary": text})
        return read_summaries(path)


def judge(of: Judged, imitation: Path | None) -> dict[str, Texts]:
    """Predict with every arm; returns the texts that the page shows."""

    def each(texts: Sequence[str]) -> Texts:
        return dict(zip(of.histories, texts, strict=True))

    def whole(histories: Sequence[UserHistory]) -> list[str]:
        return ["\n".join(map(event_lines, history.events)) for history in histories]

    users, plus, some = list(of.histories.values()), of.run.summaries, of.data.training[:ZERO_SHOT_USERS]
    # 1. What needs no language model.
    of.add("population_mean", Rates(of.rates), dict.fromkeys(of.histories, ""))
    of.add("nothing", of.reader, dict.fromkeys(of.histories, ""))
    of.add("rule", of.reader, each(of.selects.plain(of.selects.selected(users))), shuffled=True)
    of.add("selected", of.reader, each(of.selects.selector.summarize(users)), shuffled=True)
    of.add("in_context", of.trained_on(whole), each(whole(users)), shuffled=True)
    if of.spi is not None:
        words = oracle_words(of.spi, spi.Spi.scores)
        reader = of.trained_on(lambda histories: [words[history.user_id] for history in histories])
        of.add("oracle_27", reader, words, shuffled=True)
    # 2. What the language model writes, as it came and trained.
    zero_shot = of.written("zero_shot", of.histories | {row.history.user_id: row.history for row in some})
    reader = of.reads_zero_shot({row.history.user_id: zero_shot[row.history.user_id] for row in some})
    of.add("zero_shot", reader, zero_shot, shuffled=True)
    texts = {"zero-shot": zero_shot}
    if imitation is not None:
        texts["imitation"] = of.written("imitation", of.histories, imitation)
        of.add("imitation", of.reader, texts["imitation"], shuffled=True)
    of.add("plus", of.reader, plus, shuffled=True)
    return texts | {"plus": plus}


def report(of: Judged, texts: Mapping[str, Texts]) -> dict[str, Any]:
    """Compute accuracies and differences of both slices, as `targets_table` reads them, and the claims."""
    debated = {place for place, e in enumerate(of.examples) if is_controversial(of.rates, e.target)}
    of.found = {
        name: [replace(p, group="controversial" if place in debated else "") for place, p in enumerate(made)]
        for name, made in of.found.items()
    }
    compared = compare(of.found)
    name = "spi" if of.name == "spi" else f"polis/{Path(of.settings['data_dir']).name}"
    found = {"dataset": f"{name}/smollm2", "groups": {GROUPS[of.name]: compared}}
    if of.spi is not None:
        medians = of.spi.medians(list(of.data.events))
        checked = {key: spi_claims.check(of.spi, {u: t[u] for u in of.histories}, medians) for key, t in texts.items()}
        found["claims"] = {
            key: asdict(counts) | {"precision": counts.precision, "recall": counts.recall}
            for key, counts in checked.items()
        }
    return cast(dict[str, Any], plain(found))


def compare(found: Mapping[str, Sequence[Prediction]]) -> dict[str, Any]:
    """Compute accuracies and differences over all choices and the controversial ones, by users and seeds."""
    slices = {"all": lambda p: True, "controversial": lambda p: p.group == "controversial"}

    def part(name: str, where: str) -> list[Prediction]:
        return list(filter(slices[where], found[name]))

    rows = {name: {where: list(user_interval(part(name, where))) for where in slices} for name in found}
    differences = {
        f"{a} - {b}": {where: list(paired_difference(part(a, where), part(b, where))) for where in slices}
        for a, b in DIFFERENCES
        if a in found and b in found
    }
    return {"rows": rows, "differences": differences}


def tables(found: Mapping[str, Any]) -> list[str]:
    """Write accuracies, differences and goals as Markdown tables."""
    (group,) = found["groups"].values()

    def line(name: str, row: Mapping[str, Sequence[float]], form: str) -> list[str]:
        of_slices = (row[where][:3] for where in ("all", "controversial"))
        return [name, *(f"{middle:{form}} [{low:{form}}, {high:{form}}]" for middle, low, high in of_slices)]

    return [
        table(["text read", "all", "controversial"], [line(n, r, ".3f") for n, r in group["rows"].items()]),
        table(["difference", "all", "controversial"], [line(n, r, "+.3f") for n, r in group["differences"].items()]),
        targets_table(found),
    ]


def page(of: Judged, found: Mapping[str, Any], texts: Mapping[str, Texts]) -> str:
    """Write the results as Markdown."""
    parts = [
        f"# {of.settings['model_name_or_path']} on {found['dataset'].rpartition('/')[0]}",
        f"{len(of.histories)} test users, {len(of.examples):,} choices; 95 % intervals over users, one seed.",
        *tables(found),
    ]
    if "claims" in found:
        counts = ["right", "wrong", "unsure"]
        rows = [
            [name, *(str(row[key]) for key in counts), f"{row['precision']:.3f}", f"{row['recall']:.3f}"]
            for name, row in found["claims"].items()
        ]
        columns = ["text", *counts, "precision", "recall"]
        parts += ["## Claims checked against scale scores", table(columns, rows)]
    parts.append("## The first ten test users")
    for user, history in islice(of.histories.items(), 10):
        picked = "; ".join(
            event_lines(event).replace("\n", " / ") for event in of.selects.selected([history])[0].events
        )
        lines = [f"- {name}: {' '.join(of_all[user].split())}" for name, of_all in texts.items()]
        parts.append("\n".join([f"**{user}**, selected: {picked}", "", *lines]))
    return "\n\n".join(part for part in parts if part) + "\n"


def main() -> None:
    """Judge the run that is named and write its files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--imitation", type=Path)
    given = parser.parse_args()
    of = Judged(given.run)
    texts = judge(of, given.imitation)
    found = report(of, texts)
    write_json(given.run / "real_model.json", found)
    write_jsonl(given.run / "predictions.jsonl", (row for made in of.found.values() for row in to_rows(made)))
    (given.run / "real_model.md").write_text(page(of, found, texts), encoding="utf-8")
    print(given.run / "real_model.md")


if __name__ == "__main__":
    try:
        main()
    except PlusError as error:
        sys.exit(f"real_model: {error}")
