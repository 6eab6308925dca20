"""Tiny bases, one for each family of synthetic data and seed: the pretrained language model of a run on a CPU."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plus.benchmark.cells import timed
from plus.models import tiny
from plus.resources import shipped
from plus.sources import llmfao, polis
from plus.sources.contexts import build
from plus.sources.folds import answers
from plus.sources.splits import Plan
from plus.types import Dropped, Preference, Reaction
from plus.worlds import pets, pets_ood, styles

TOKENIZER_ROWS = 4000
OWN_BASES, SHIPPED_BASE = "a base for each seed", "the base that comes with plus"


@dataclass(frozen=True)
class Recipe:
    """Training conversations of a base, and its steps of 32 conversations each (notebooks/LOG.md says why)."""

    conversation: tiny.Conversation
    steps: int
    vocab_size: int = 1024


RECIPES = {
    "pets": Recipe(pets.conversation, 1600),
    "pets_ood": Recipe(pets_ood.conversation, 3000, vocab_size=1280),  # so that every noun is one token
    "styles": Recipe(styles.conversation, 3200),
}
# Data sets that share the base of another.
FAMILY = {"pets_ood_k2": "pets_ood", "styles_unlabelled": "styles"}


def make(
    folder: Path,
    source: str,
    seed: int = 0,
    steps: int | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Path:
    """Train the base of `source` into `folder` where there is none; written whole or not at all."""
    if (folder / "config.json").exists():
        return folder
    # The tokenizer first: its vocabulary is that of the conversations and the shipped samples.
    recipe = RECIPES[source]
    tokenizer = tiny.train_tokenizer(corpus(recipe.conversation), recipe.vocab_size)
    model = tiny.train_base(tokenizer, steps or recipe.steps, seed, on_step=on_step, conversation=recipe.conversation)
    # Written beside its place and moved there whole.
    part = folder.with_name(f".{folder.name}.partial")
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    if folder.exists():
        folder.rmdir()  # Raises where it holds anything: nothing is overwritten.
    part.rename(folder)
    return folder


def place(dataset_name: str, folder: Path, seed: int) -> tuple[Path, str]:
    """Find the folder of the base of a synthetic data set and seed, and the name of its recipe.

    The base that comes with plus is pets' of seed 0, so that one is not made again.
    """
    source = FAMILY.get(dataset_name, dataset_name)
    return (shipped("tiny_base") if (source, seed) == ("pets", 0) else folder / f"{source}-{seed}"), source


def shipped_base(seed: int) -> Path:
    """Return the base that comes with plus for any seed: for a quick look."""
    return shipped("tiny_base")


def own_base(dataset_name: str, folder: Path, say: Callable[[str], None]) -> Callable[[int], Path]:
    """Return a function from seed to base, made in `folder` where there is none; seconds.jsonl keeps the time."""

    def on_step(step: int, loss: float) -> None:
        if (step + 1) % 400 == 0:
            say(f"base: {step + 1:,} steps, loss {loss:.3f}")

    def base_of(seed: int) -> Path:
        path, source = place(dataset_name, folder, seed)
        if not (path / "config.json").exists():
            with timed(folder, f"{source}, seed {seed}"):
                make(path, source, seed, on_step=on_step)
        return path

    return base_of


def corpus(conversation: tiny.Conversation, rows: int = TOKENIZER_ROWS) -> list[str]:
    """Collect texts for the tokenizer: the base's own conversations, and the shipped samples of real people."""
    rng = random.Random("tokenizer")
    texts = [message["content"] for _ in range(rows) for message in conversation(rng)]
    # Judgments without any answer have few words; leaving them out keeps the tokenizer of the shipped base.
    judged = {
        user: kept
        for user, past in llmfao.judgments_of(shipped("llmfao_sample"), Dropped()).items()
        if (kept := [event for event in past if all(map(str.strip, answers(event)))])
    }
    for population in (polis.load(shipped("polis_sample")), build("llmfao", judged, Plan(), Dropped())):
        for history in population.histories.values():
            for event in history.events:
                match event.content:
                    case Preference(prompt, chosen, rejected):
                        texts += [prompt, chosen, rejected]
                    case Reaction(prompt, completion, _):
                        texts += [prompt, completion]
    return texts
