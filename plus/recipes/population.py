"""Read the rows of a run: its data set, what was left out, and which verb reads a file that holds no choices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plus.errors import SourceError
from plus.progress import Screen

if TYPE_CHECKING:
    from plus.types import Population


def load_population(settings: Mapping[str, Any]) -> Population:
    """Load the population that the settings of a run name. Raises SourceError where its rows cannot be used."""
    from plus import datasets

    try:
        return datasets.from_settings(settings)
    except SourceError as error:
        raise SourceError(f"{error}{_hint(settings)}") from None


def admitted(settings: Mapping[str, Any], population: Population, screen: Screen) -> Population:
    """Say what was read; a run that goes on has the users that it began with.

    Raises RunError where they are other people's rows than before.
    """
    if settings.get("resume_from_checkpoint"):
        from plus.train import data_record

        population = data_record.admit(Path(settings["output_dir"]), population, screen.say)
    _describe(population, screen)
    return population


def _describe(population: Population, screen: Screen) -> None:
    """Say what was read and what was left out."""
    for line in population.dropped.lines():
        screen.say(f"left out: {line}")
    users, choices = len(population.histories), len(population.examples)
    screen.say(f"{population.name}: {users:,} users, {choices:,} choices to predict")
    if population.best_possible is not None:
        best = f"{population.best_possible:.3f} of the test choices"
        screen.say(f"a model that draws from each context all that is in it predicts {best}")


def _hint(settings: Mapping[str, Any]) -> str:
    """Name the verbs that read a file which is a log and holds no rows of choices; "" where it is none."""
    from plus.feedback.log_files import Reading, find_logs
    from plus.types import Dropped

    path = Path(str(settings.get("dataset_name")))
    try:
        logs = find_logs([path], Dropped(), Reading()) if path.exists() else []
    except SourceError:
        return ""
    kinds = sorted({log.format for log in logs} - {"rows", "flat"})
    return f"; it is a log ({', '.join(kinds)}): plus ingest reads it, and plus pairs makes rows of it" if kinds else ""
