"""Show a person everything that is stored about them: as plain values, and as one page of Markdown to print."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from plus.profiles import versions
from plus.profiles.forget import exports_with
from plus.profiles.schema import parsed
from plus.profiles.store import Store

FORMAT = "plus-person/1"


def held(store: Store, user_id: str) -> dict[str, Any]:
    """Collect a user's rules, versions, events, and exported files. Raises UnknownUserError."""
    with store.snapshot():
        user, rules = store.user(user_id), store.rules(user_id)
        history = store.history(user_id)
        events = [_event(row) for row in store.event_rows(user_id)]
        exports = exports_with(store, [user_id])
    return {
        "format": FORMAT, "user_id": user_id, "current": user.current, "paused": bool(user.paused),
        "locked": list(rules.lock), "forbidden": list(rules.forbid), "removed": list(rules.removed),
        "paused_sentences": list(rules.paused),
        "versions": [_version(version) for version in history], "events": events, "exports": exports,
    }  # fmt: skip


def page(found: dict[str, Any]) -> Iterator[str]:
    """Write what `held` found as lines of Markdown."""
    yield f"# What is stored about {found['user_id']}"
    yield "Paused: it is kept and not used." if found["paused"] else "In use."
    # 1. The summary, and what was decided about it.
    current = next((one for one in found["versions"] if one["version"] == found["current"]), None)
    yield "## Summary"
    yield current["text"] if current else "There is none."
    for name in ("locked", "forbidden", "removed", "paused_sentences"):
        yield from (f"- {name.partition('_')[0]}: {text}" for text in found[name])
    # 2. What was said before, and from what.
    yield f"## Versions ({len(found['versions'])})"
    for one in found["versions"]:
        made = f"{_when(one['created'])}, by {one['origin']}, from {len(one['evidence'])} events"
        yield f"- version {one['version']}, {made}: {_words(one['text'])}"
    yield f"## Events ({len(found['events'])})"
    for one in found["events"]:
        kept = ", held out" if one["held_out"] else ""
        came = f"{_when(one['time'])}, from {one['source'] or 'no file'}"
        yield f"- {one['kind']}, {came}{kept}: {_words(one['content'])}"
    # 3. Where else it may be.
    yield f"## Exported files ({len(found['exports'])})"
    yield from (f"- {path}" for path in found["exports"])


def _version(version: versions.Version) -> dict[str, Any]:
    return {
        "version": version.version, "text": version.text, "sentences": [list(span) for span in version.spans],
        "origin": version.origin, "model": version.model, "run": version.run, "created": version.created,
        "evidence": list(version.evidence), "score": version.score, "note": version.note,
    }  # fmt: skip


def _event(row: tuple[Any, ...]) -> dict[str, Any]:
    name, kind, time, session, source, content, held_out = row
    return {
        "id": name, "kind": kind, "time": time, "session_id": session, "source": source, "held_out": bool(held_out),
        "content": parsed(content),
    }  # fmt: skip


def _words(content: Any) -> str:
    """An event's content in one line."""
    if isinstance(content, dict):
        return "; ".join(f"{key}: {_words(value)}" for key, value in content.items())
    if isinstance(content, list):
        return " | ".join(": ".join(map(str, turn)) for turn in content)
    return " ".join(str(content).split())


def _when(moment: float | None) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") if moment else "no date"
