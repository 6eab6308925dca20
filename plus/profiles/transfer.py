"""Everything about a person as one JSON object, out of a store and into another: versions, rules, events.

What cannot be moved: hashes of erased sentences and of what was forgotten, which are keyed by the secret of the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from plus.errors import ConflictError, ProfileError
from plus.profiles import bans, saving, schema
from plus.profiles.decisions import pause
from plus.profiles.person import held
from plus.profiles.rows import Profile, from_row
from plus.profiles.store import Store
from plus.types import Entry, Event, EventKind, Preference, Reaction, Turn

_RULES = {"locked": "lock", "forbidden": "forbid", "removed": "removed", "paused_sentences": "paused"}


@dataclass(frozen=True)
class Person:
    """Person in a file: what `as_json` wrote, and the place that messages name."""

    row: Mapping[str, Any]
    place: str

    @property
    def user_id(self) -> str:
        """The id, as text."""
        return str(self.row.get("user_id"))


def as_json(store: Store, user_id: str) -> str:
    """Write all that is stored about a user as one line of JSON. Raises UnknownUserError."""
    with store.snapshot():
        found, user = held(store, user_id), store.user(user_id)
        read = store.number(store.sql.count_read, (user.number, user.read_upto))
    del found["exports"]  # Files of this machine.
    whole = {**found, "newest": user.newest, "next_sentence": user.next_sentence, "events_read": read}
    return json.dumps(whole, ensure_ascii=False)


def add_person(store: Store, person: Person) -> bool:
    """Put a person into a store in one transaction; false where all of it is there already.

    Raises ForgottenError, ConflictError where the store has other versions of the user, and ProfileError that names the
    field that cannot be read.
    """
    row, place = person.row, person.place
    user_id, versions = _text(row, "user_id", place), list(_versions(row, place))
    if len({profile.version.version for profile in versions}) != len(versions):
        raise ProfileError(f"{place}: two versions have one number; leave them as they were exported")
    entries = list(_entries(row, user_id, place))
    newest, next_sentence, current, read = (
        _number(row, key, place) for key in ("newest", "next_sentence", "current", "events_read")
    )
    with store.transaction():
        # 1. The user, who may be there with the same versions or with none.
        store.refuse_forgotten("user", user_id)
        is_new, number = store.find(user_id) is None, store.enrol(user_id)
        there = [version.text for version in store.history(user_id)]
        if there and there != [profile.version.text for profile in versions]:
            raise ConflictError(
                f"the store has versions of {user_id!r} of its own; nothing was written, import into a new store"
            )
        # 2. Events, versions and rules.
        added = store.add_events(entries).added
        if there or (not is_new and not versions):
            return added > 0
        for profile in versions:
            saving.put(store, store.user(user_id), profile.version, next_sentence)
        for key, kind in _RULES.items():
            for text in _list(row, key, str, place):
                saving.set_rule(store, user_id, kind, schema.checked(text, f"{place}: {key}"))
        # 3. Which version is shown, what was read, whether it is in use.
        if versions and current not in {0, *(profile.version.version for profile in versions)}:
            raise ProfileError(f"{place}: current is {current}, which is none of its versions")
        user = store.user(user_id)
        shown = (current, max(newest, user.newest), max(next_sentence, user.next_sentence), number)
        store.do(store.sql.show, shown)
        if read and added:
            upto = store.number(store.sql.nth_event, (number, read - 1))
            store.do(store.sql.note_read, (upto, number, upto))
        if row.get("paused") is True:
            pause(store, user_id)
        bans.enforce(store, user_id)
    return True


def _versions(row: Mapping[str, Any], place: str) -> Iterator[Profile]:
    """The versions, as rows of profiles are read; sentences are [id, start, end, origin, since] each."""
    for number, one in enumerate(_list(row, "versions", dict, place), start=1):
        where, text = f"{place}: version {number} of {len(row['versions'])}", one.get("text")
        sentences = [
            {"id": span[0], "origin": span[3], "since": span[4]}
            for span in one.get("sentences") or ()
            if isinstance(span, list) and len(span) == 5
        ]
        yield from_row({**one, "user_id": row["user_id"], "text": text, "sentences": sentences}, where)


def _entries(row: Mapping[str, Any], user_id: str, place: str) -> Iterator[Entry]:
    for number, one in enumerate(_list(row, "events", dict, place), start=1):
        where = f"{place}: event {number}"
        kind, time = one.get("kind"), one.get("time")
        if kind not in get_args(EventKind):
            raise ProfileError(f"{where} has the kind {kind!r}; it is one of {', '.join(get_args(EventKind))}")
        if time is not None and (
            isinstance(time, bool) or not isinstance(time, int | float) or not -1e11 < time < 1e11
        ):
            raise ProfileError(f"{where}: time is no number of seconds since 1970; leave it as it was exported")
        try:
            content = schema.decode_content(json.dumps(one.get("content")))
            if not _is_of_texts(content):
                raise ValueError
        except ValueError:
            raise ProfileError(f"{where} has a content that is none of ours; leave it as it was exported") from None
        event = Event(_text(one, "id", where), kind, content, time, _text(one, "source", where))
        yield Entry(user_id, event, _text(one, "session_id", where), one.get("held_out") is True)


def _is_of_texts(content: Preference | Reaction | str | tuple[Turn, ...]) -> bool:
    if isinstance(content, str):
        return True
    turns = content if isinstance(content, tuple) else content.earlier
    texts = [part for turn in turns for part in (turn.role, turn.content)]
    match content:
        case Preference(prompt, chosen, rejected):
            texts += [prompt, chosen, rejected]
        case Reaction(prompt, completion, label):
            texts += [prompt, completion] if isinstance(label, bool) else [None]
    return all(isinstance(text, str) for text in texts)


def _list(row: Mapping[str, Any], key: str, kind: type, place: str) -> list[Any]:
    found = row.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise ProfileError(f"{place}: {key} is no list as plus export --format full writes it")
    return found


def _text(row: Mapping[str, Any], key: str, place: str) -> str:
    if not isinstance(found := row.get(key), str):
        raise ProfileError(f"{place} has no text as its {key}; leave it as it was exported")
    return schema.checked(found, f"{place}: {key}")


def _number(row: Mapping[str, Any], key: str, place: str) -> int:
    found = row.get(key, 0)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**53:
        raise ProfileError(f"{place}: {key} is no whole number from 0; leave it as it was exported")
    return found
