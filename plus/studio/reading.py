"""A person's summary to read: sentences with their worth, the choices they came from, and the history of versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from starlette.responses import Response

from plus.errors import PlusError
from plus.profiles import actions, attribution, versions
from plus.profiles.attribution import Attribution, Effect
from plus.profiles.sentences import Sentence
from plus.profiles.text_filters import flags
from plus.profiles.versions import Version
from plus.studio.visit import Person, Visit, diff_lines
from plus.types import Event

SHOWN = 5  # choices under a sentence
LOGGED = 50  # actions under the history


@dataclass(frozen=True)
class Worth:
    """Worth of a sentence as it is drawn: a word, nats a choice, and the length of its bar, 0..1."""

    effect: Effect
    value: float
    length: float


@dataclass(frozen=True)
class Source:
    """Event that a sentence came from, with the log-likelihood that the sentence alone adds to it."""

    event: Event
    gain: float | None = None


def first(visit: Visit) -> Response:
    """Show the first page: a person's own, or the list of users."""
    only = visit.visitor.number
    return visit.back(f"/u/{only}") if only is not None else visit.back("/users")


def summary(visit: Visit, open_part: Mapping[str, Any] | None = None, status: int = 200) -> Response:
    """Show a person's page; open_part: what is open under a sentence, where the browser runs no scripts."""
    return visit.show("person.html", status, **about(visit, visit.person()), part=open_part or {"kind": ""})


def open_part(visit: Visit, template: str, part: Mapping[str, Any]) -> Response:
    """Show what is opened under a sentence: alone where htmx puts it in its place, else on the person's whole page."""
    if visit.is_part:
        return visit.show(template, here=f"/u/{visit.person().number}", part=part)
    return summary(visit, part)


def sentence_of(visit: Visit, person: Person) -> tuple[Version, Sentence]:
    """Return the current version and the sentence of it that the address names. Raises ProfileError."""
    current = visit.store.current(person.user_id)
    sentence = versions.find(current, visit.request.path_params["sentence"])
    assert current is not None
    return current, sentence


def about(visit: Visit, person: Person) -> dict[str, Any]:
    """Collect what every page of a person shows."""
    store, user_id = visit.store, person.user_id
    with store.snapshot():
        user, rules, history = store.user(user_id), store.rules(user_id), store.history(user_id)
    current = next((one for one in history if one.version == user.current), None)
    earlier = [one for one in history if one.version < user.current]
    return {
        "person": person, "user": user, "rules": rules, "current": current, "history": history,
        "before": earlier[-1] if earlier else None, "dates": {one.version: one.created for one in history},
        "flags": flags(current.text) if current else [], "here": f"/u/{person.number}",
        "unread": user.last_event > user.read_upto, "tab": "summary",
    }  # fmt: skip


def worth(visit: Visit) -> Response:
    """Show what each sentence is worth on the person's held-out choices."""
    found, missing = _explained(visit, visit.person())
    part = {"kind": "worth", "found": worths(found) if found else {}, "attribution": found, "missing": missing}
    return open_part(visit, "worth.html", part)


def worths(found: Attribution) -> dict[str, Worth]:
    """Map sentence id -> its worth, the longest bar being that of the largest effect."""
    values = {one.id: one.worth if found.reads_whole else one.alone for one in found.sentences}
    most = max((abs(value) for value in values.values()), default=0) or 1
    return {
        one.id: Worth(one.effect(found.reads_whole), values[one.id], abs(values[one.id]) / most)
        for one in found.sentences
    }


def why(visit: Visit) -> Response:
    """Show the choices that a sentence came from, and its worth."""
    person = visit.person()
    current, sentence = sentence_of(visit, person)
    found, missing = _explained(visit, person)
    part = {
        "kind": "why", "id": sentence.id, "sources": _sources(visit, current, sentence, found), "missing": missing,
        "worth": worths(found)[sentence.id] if found else None, "is_own": sentence.origin == "user",
        "choices": found.choices if found else 0,
    }  # fmt: skip
    return open_part(visit, "why.html", part)


def history(visit: Visit) -> Response:
    """Show every version, the newest first, each with its difference from the one before."""
    shown = about(visit, visit.person())
    lines: list[dict[str, Any]] = []
    before: Version | None = None
    for version in shown["history"]:
        diff = versions.diff(before, version.text, f"version {version.version}")
        lines.append({"version": version, "diff": diff_lines(diff)})
        before = version
    log = list(islice(actions.listed(visit.store, shown["person"].user_id), LOGGED))
    return visit.show("history.html", **{**shown, "tab": "history"}, lines=lines[::-1], log=log)


def _explained(visit: Visit, person: Person) -> tuple[Attribution | None, str]:
    """Return the worth of every sentence, or the reason why there is none."""
    try:
        return attribution.explain(visit.store, person.user_id, visit.studio.scorer), ""
    except PlusError as error:
        return None, str(error)


def _sources(visit: Visit, current: Version, sentence: Sentence, found: Attribution | None) -> list[Source]:
    """List the events that a sentence was written from, those that it explains best first."""
    events = attribution.sources(visit.store, current).get(sentence.since, [])
    value = next((one for one in found.sentences if one.id == sentence.id), None) if found else None
    if value is None:
        return [Source(event) for event in events[:SHOWN]]
    known = {event.id: event for event in events}
    return [Source(known[name], gain) for name, gain in value.events[:SHOWN] if name in known]
