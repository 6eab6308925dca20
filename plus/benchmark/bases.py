"""A tiny base for each family of synthetic data, made once and kept: the pretrained LLM of a run on a CPU."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plus.models import tiny
from plus.resources import shipped
from plus.sources import llmfao, polis
from plus.sources.contexts import build
from plus.sources.folds import answers
from plus.sources.splits import Plan
from plus.types import Dropped, Preference, Reaction
from plus.worlds import pets_ood, styles

TOKENIZER_ROWS = 4000


@dataclass(frozen=True)
class Recipe:
    """What a base is trained on, and for how many steps of 32 conversations (notebooks/LOG.md says why)."""

    conversation: tiny.Conversation
    steps: int
    vocab_size: int = 1024


RECIPES = {
    "pets": Recipe(tiny.conversation, 1600),
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
    """The base of `source` in `folder`, trained where there is none; written whole or not at all."""
    if (folder / "config.json").exists():
        return folder
    recipe = RECIPES[source]
    tokenizer = tiny.train_tokenizer(corpus(recipe.conversation), recipe.vocab_size)
    model = tiny.train_base(tokenizer, steps or recipe.steps, seed, on_step=on_step, conversation=recipe.conversation)
    part = folder.with_name(f".{folder.name}.partial")
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    if folder.exists():
        folder.rmdir()  # Raises where it holds anything: nothing is overwritten.
    part.rename(folder)
    return folder


def place(dataset_name: str, folder: Path, seed: int) -> tuple[Path, str]:
    """Where the base of a synthetic data set's run of this seed lies, and its recipe.

    The base that comes with plus is pets' of seed 0, so that one is not made again.
    """
    source = FAMILY.get(dataset_name, dataset_name)
    return (shipped("tiny_base") if (source, seed) == ("pets", 0) else folder / f"{source}-{seed}"), source


def corpus(conversation: tiny.Conversation, rows: int = TOKENIZER_ROWS) -> list[str]:
    """Texts for the tokenizer: the base's own conversations, and the shipped samples of real people."""
    rng = random.Random("tokenizer")
    texts = [message["content"] for _ in range(rows) for message in conversation(rng)]
    # Judgments of no answer at all have few words, and leaving them out keeps the tokenizer of the base that is shipped.
    judged = {
        user: said
        for user, past in llmfao.judgments_of(shipped("llmfao_sample"), Dropped()).items()
        if (said := [event for event in past if all(map(str.strip, answers(event)))])
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
