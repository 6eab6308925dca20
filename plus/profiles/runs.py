"""A run folder as a store: its users, what was read of them, the choices they were judged by, and their summaries."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from plus import jsonl
from plus.errors import ForgottenError, ProfileError
from plus.profiles.forget_runs import is_run, run_hash
from plus.profiles.saving import save_model
from plus.profiles.store import Store
from plus.types import Entry, Event, Population

BATCH = 500  # users a transaction


def add_run(store: Store, folder: Path, population: Population, summaries: dict[str, str]) -> int:
    """Put a run's users into the store; their targets are held out. Again, it adds what is new.

    Returns how many users have a summary.
    """
    run, model = run_hash(folder), folder.name
    store.add_run(folder, run, model)
    store.add_events(_entries(population))
    users, count = iter(summaries.items()), 0
    while chunk := list(islice(users, BATCH)):
        with store.transaction():
            for user_id, text in chunk:
                try:
                    reading = store.read(user_id)
                    if reading.current is None:
                        save_model(store, reading, text, model, run)
                    count += 1
                except ForgottenError:
                    continue
    return count


def read_summaries(folder: Path) -> dict[str, str]:
    """user_id -> text, as a run's summaries.jsonl has it. Raises ProfileError when the run has not finished."""
    path = folder / "summaries.jsonl"
    if not is_run(folder) or not path.is_file():
        raise ProfileError(
            f"{folder} is no finished run (no summaries.jsonl); give the --output_dir of a plus train or plus demo"
        )
    return jsonl.read_summaries(path)


def events_read(folder: Path) -> int | None:
    """How many events the users of a run had at most: what its summarizer learned to read. None where it does not say."""
    path = folder / "summaries.jsonl"
    if not path.is_file():
        return None
    counts = [row.get("events") for _, row in jsonl.numbered(path)]
    return max((count for count in counts if isinstance(count, int)), default=0) or None


def _entries(population: Population) -> Iterator[Entry]:
    for user_id, history in population.histories.items():
        for event in history.events:
            yield Entry(user_id, event, "", False)
    numbers: dict[str, int] = {}
    for example in population.examples:
        user_id = example.history.user_id
        numbers[user_id] = number = numbers.get(user_id, 0) + 1
        event = Event(f"{user_id}-target-{number}", "choice", example.target, None, population.name)
        yield Entry(user_id, event, "", True)
