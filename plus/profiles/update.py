"""New events in, newer summaries out; what people fixed stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from plus.errors import ForgottenError, UnknownUserError
from plus.measures import accuracy, mean
from plus.profiles import attribution
from plus.profiles.echo_filter import without_own
from plus.profiles.rules import Similar
from plus.profiles.saving import save_model
from plus.profiles.store import Reading, Store
from plus.types import Scorer, Summarizer, UserHistory

BATCH = 64  # users a call of the summarizer


@dataclass(frozen=True)
class Updated:
    """One user's new summary: what the model wrote (`anew`), and what it became under the user's edits and rules."""

    user_id: str
    text: str
    anew: str
    version: int
    blocked: tuple[str, ...]


@dataclass
class Receipt:
    """What an update did. `own` counts events in which our own summary was found and taken out."""

    updated: int = 0
    unchanged: int = 0
    forgotten: int = 0
    blocked: int = 0
    own: int = 0
    users: list[str] = field(default_factory=list)


def stale(store: Store) -> list[str]:
    """The users with events that their summary has not read."""
    found = store.rows("SELECT user_id FROM users WHERE last_event > read_upto ORDER BY number")
    return [user_id for (user_id,) in found]


def update(
    store: Store,
    summarizer: Summarizer,
    receipt: Receipt,
    model: str = "",
    run: str = "",
    similar: Similar | None = None,
    past_events: int | None = None,
) -> Iterator[Updated]:
    """Summarize every user with new events, oldest event first, and save; yields each as it is saved.

    Of each user the newest `past_events` are read: a summarizer that learned on three says little that is
    true of thirty, and later events are to win. None reads all. Interrupted, it goes on where it stopped when called again. A user who is forgotten meanwhile is left alone.
    """
    users = iter(stale(store))
    while batch := list(islice(users, BATCH)):
        readings = [
            reading for user_id in batch if (reading := _read(store, user_id, receipt, past_events)) is not None
        ]
        texts = summarizer.summarize([reading.history for reading in readings])
        for reading, text in zip(readings, texts, strict=True):
            try:
                version, composed = save_model(store, reading, text, model, run, similar)
            except (ForgottenError, UnknownUserError):
                receipt.forgotten += 1
                continue
            same = reading.current is not None and version.version == reading.current.version
            receipt.unchanged += same
            receipt.updated += not same
            receipt.blocked += len(composed.blocked)
            receipt.users.append(version.user_id)
            yield Updated(version.user_id, version.text, text, version.version, composed.blocked)


def against_anew(store: Store, scorer: Scorer, updated: Sequence[Updated]) -> dict[str, float | int]:
    """Accuracy and mean log-likelihood on held-out choices: as updated, and as the model alone would have it."""
    texts: dict[str, list[str]] = {"updated": [], "anew": []}
    pairs = []
    for one in updated:
        events = attribution.held_out(store, one.user_id, store.current(one.user_id))
        pairs += [event.content for event in events]
        texts["updated"] += [one.text] * len(events)
        texts["anew"] += [one.anew] * len(events)
    report: dict[str, float | int] = {"choices": len(pairs)}
    for name, own in texts.items() if pairs else ():
        values = scorer.log_likelihood(own, pairs)  # type: ignore[arg-type]
        report |= {f"accuracy_{name}": accuracy(values), f"log_likelihood_{name}": mean(values)}
    return report


def _read(store: Store, user_id: str, receipt: Receipt, past_events: int | None) -> Reading | None:
    """What is to be read of a user, the newest events: our own earlier texts are no evidence. None once they are forgotten."""
    try:
        reading = store.read(user_id)
        texts = {version.text for version in store.history(user_id)}
    except (ForgottenError, UnknownUserError):
        receipt.forgotten += 1
        return None
    events, touched = without_own(reading.history.events, texts)
    receipt.own += touched
    events = events if past_events is None else events[-past_events:]
    return Reading(reading.number, UserHistory(user_id, tuple(events)), reading.upto, reading.current)
