"""`plus summarize --update`: new choices into the store, newer summaries out of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from plus.cli.show import loading, notes, say
from plus.cli.stores import open_store

if TYPE_CHECKING:
    from plus.models.embeddings import Encode
    from plus.profiles.versions import Similar
    from plus.types import Entry, UserHistory

ALIKE = 0.85  # cosine similarity from which two sentences say the same: close rewordings only (notebooks/LOG.md)


def update_store(
    run: Path, choices: Path | None, store: Path | None, held_out: float, past_events: int | None
) -> dict[str, str]:
    """Add the choices, summarize whoever has new ones, and report; returns user_id -> summary of those."""
    from plus.profiles import update
    from plus.profiles.runs import events_read, run_hash
    from plus.sources.choices import read_histories

    with open_store(store, create=True) as opened:
        if choices is not None:
            histories, dropped = read_histories(sys.stdin if str(choices) == "-" else choices)
            for line in dropped.lines():
                say(f"left out: {line}")
            added = opened.add_events(_entries(histories), held_out)
            say(f"{added.added:,} new events, {added.known:,} known, {added.refused:,} refused (forgotten)")
        waiting = update.stale(opened)
        if not waiting:
            say("nobody has new choices")
            return {}
        with loading("loading the run"):
            from plus.models.run import load
        loaded = load(run)
        opened.add_run(run, run_hash(run), run.name)
        receipt = update.Receipt()
        past_events = past_events or events_read(run)
        if past_events:
            say(f"reads the newest {past_events} events of each user")
        with notes.status(f"summarizing {len(waiting):,} users"):
            done = list(
                update.update(opened, loaded.summarizer, receipt, run.name, run_hash(run), _similar(), past_events)
            )
            report = update.against_anew(opened, loaded.reward_model, done)
    say(
        f"{receipt.updated:,} summaries updated, {receipt.unchanged:,} unchanged, {receipt.blocked:,} sentences kept out, {receipt.forgotten:,} users forgotten meanwhile"
    )
    if receipt.own:
        say(f"our own summaries were taken out of {receipt.own:,} events: they are no evidence")
    if report.choices:
        say(
            f"on {report.choices:,} held-out choices: accuracy {report.accuracy_updated:.3f} as updated, {report.accuracy_anew:.3f} summarized anew without edits"
        )
    return {one.user_id: one.text for one in done}


def _entries(histories: dict[str, UserHistory]) -> Iterator[Entry]:
    from plus.types import Entry

    for user_id, history in histories.items():
        for event in history.events:
            yield Entry(user_id, event)


def _similar() -> Similar | None:
    """Whether two sentences say the same, by their embeddings; None where `embed` is not installed.

    The model is loaded when the first ban meets the first sentence. Where it cannot be had, only equal
    words are kept out, and that is said.
    """
    from importlib.util import find_spec

    if find_spec("sentence_transformers") is None:
        return None

    @cache
    def model() -> Encode | None:
        from plus.errors import ModelError
        from plus.models.embeddings import minilm

        try:
            return minilm()
        except ModelError as error:
            say(f"forbidden statements are kept out by their words only: {error}")
            return None

    @cache
    def similar(sentence: str, forbidden: str) -> bool:
        if (embed := model()) is None:
            return False
        one, two = embed([sentence, forbidden])
        return float(one @ two / (one.norm() * two.norm())) >= ALIKE

    return similar
