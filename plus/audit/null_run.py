"""The null run: the same training where nothing can be learned about anybody. It must end at chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from plus.evaluate.controls import readings
from plus.evaluate.predictions import Prediction
from plus.train import run as training
from plus.types import Population
from plus.worlds import pets


def null_run(
    settings: Mapping[str, Any],
    population: Population,
    folder: Path,
    max_steps: int,
    callbacks: Sequence[TrainerCallback] = (),
) -> dict[str, list[Prediction]]:
    """Train `max_steps` updates on targets dealt to other users and read the test users' (`readings`).

    The run is left in `folder`, which must be new.
    """
    null = pets.permuted(population, settings.get("seed", 42))
    changed = {**settings, "output_dir": str(folder), "max_steps": max_steps, "resume_from_checkpoint": None}
    trained = training.train(changed, null, lambda line: None, callbacks)
    test = null.split("test")
    histories = {example.history.user_id: example.history for example in test}
    texts = dict(zip(histories, trained.summarizer.summarize(list(histories.values())), strict=True))
    return readings(trained.reward_model, test, texts)
