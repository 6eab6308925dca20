"""Rows of profiles: what a line of JSONL and a file of Markdown hold. Reading a row that we wrote loses nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from plus.errors import ProfileError
from plus.profiles import schema, versions
from plus.profiles.sentences import carry, number_of, split
from plus.profiles.store import Store
from plus.profiles.text_filters import flags
from plus.profiles.versions import Rules, Version

FORMAT = "plus-profile/1"
FORGOTTEN = "plus-forgotten/1"  # a row of a feed of changes: the hash of a user who was forgotten


@dataclass(frozen=True)
class Profile:
    """Current version of a user with the rules. `reduced`: sentences or words were left out for an export."""

    version: Version
    rules: Rules = field(default_factory=Rules)
    next_sentence: int = 1
    reduced: bool = False
    paused: bool = False
    is_memory: bool = False  # of another program: added to what is there, as its user's own

    def with_text(self, text: str) -> Profile:
        """Replace the text by a shorter or redacted one."""
        if text == self.version.text:
            return self
        sentences, _ = carry(
            text, self.version.sentences, self.next_sentence, self.version.origin, self.version.version
        )
        version = replace(self.version, text=text, spans=versions.as_spans(sentences))
        return replace(self, version=version, reduced=True)

    def in_use(self) -> Profile:
        """Return what programs get: without the paused sentences."""
        version = self.rules.in_use(self.version)
        return self if version is self.version else replace(self, version=version, reduced=True)

    def masked(self, mask: Callable[[str], str]) -> Profile:
        """Mask every text of the user, those of rules too; ids stay."""
        own = (self.rules.lock, self.rules.forbid, self.rules.removed, self.rules.paused)
        rules = Rules(*(tuple(map(mask, texts)) for texts in own))
        masked = self.with_text(mask(self.version.text))
        return masked if rules == self.rules else replace(masked, rules=rules, reduced=True)


def profiles(store: Store, users: Collection[str] | None = None, since: float | None = None) -> Iterator[Profile]:
    """Yield users' current profiles in order of appearance, all of one state of the store.

    users: these only. since: only users whose text or rules changed since, or who came, in seconds since 1970.
    """
    sql, values = store.sql.profiles, list[Any]()
    if users is not None:
        sql, values = sql + store.sql.among, [json.dumps(list(users))]
    if since is not None:
        sql, values = sql + store.sql.since, [*values, since]
    found = store.rows(sql + store.sql.in_order, values)
    # One query a user would be slow for a million users, and few of them have rules.
    fixed = {number for (number,) in store.rows(store.sql.users_with_rules)}
    for number, user_id, next_sentence, paused, *row in found:
        rules = store.rules(user_id) if number in fixed else Rules()
        yield Profile(versions.from_row(user_id, row), rules, next_sentence, paused=bool(paused))


def to_row(profile: Profile) -> dict[str, Any]:
    """Write a profile as a row; `flags` (reasons to look at the text) is not read back."""
    version, rules = profile.version, profile.rules
    row: dict[str, Any] = {
        "user_id": version.user_id,
        "version": version.version,
        "text": version.text,
        "sentences": [
            {"id": name, "text": version.text[start:end], "origin": origin, "since": since}
            for name, start, end, origin, since in version.spans
        ],
        "locked": list(rules.lock),
        "forbidden": list(rules.forbid),
        "removed": list(rules.removed),
        "paused_sentences": list(rules.paused),
        "origin": version.origin,
        "model": version.model,
        "run": version.run,
        "created": version.created,
        "evidence": list(version.evidence),
        "score": version.score,
        "note": version.note,
        "next_sentence": profile.next_sentence,
        "flags": flags(version.text),
    }
    marks = {name: True for name in ("reduced", "paused") if getattr(profile, name)}
    return {**row, **marks, "format": FORMAT}


def from_row(row: Mapping[str, Any], place: str) -> Profile:
    """Read a profile from a row of ours, or from any row with `user_id` and `text` or `summary`.

    place: names the row in messages. Raises ProfileError that names the field.
    """
    # 1. Who, and the text.
    form = row.get("format", FORMAT)
    if form != FORMAT:
        raise ProfileError(f"{place} has the format {form!r}; this plus reads {FORMAT}, so update plus or export again")
    user_id, text = _text(row, "user_id", place), _text({"text": row.get("summary"), **row}, "text", place)
    if not user_id:
        raise ProfileError(f"{place} has an empty user_id; name the user")
    # 2. Rules, and the version with its defaults.
    rules = Rules(*(_texts(row, key, place) for key in ("locked", "forbidden", "removed", "paused_sentences")))
    number = _number(row, "version", place)
    origin = row.get("origin", "user")  # A text that does not say who wrote it was brought in by a person.
    if origin not in ("model", "user"):
        raise ProfileError(f"{place}: origin is {origin!r}; it is model or user")
    model, run, note = (_text({key: "", **row}, key, place) for key in ("model", "run", "note"))
    version = Version(
        user_id, number, text, (), origin, model, run, _time(row, place), _texts(row, "evidence", place),
        _score(row, place), note,
    )  # fmt: skip
    # 3. Sentences with their ids.
    spans, next_sentence = _spans(row, version, place)
    next_sentence = max(next_sentence, _number(row, "next_sentence", place))
    reduced, paused = row.get("reduced") is True, row.get("paused") is True
    return Profile(replace(version, spans=spans), rules, next_sentence, reduced, paused)


def _spans(row: Mapping[str, Any], version: Version, place: str) -> tuple[Any, int]:
    """The sentences with their ids, where they still fit the text; else with new ones."""
    # Without a list of as many sentences as the text has, all are new.
    spans, given = split(version.text), row.get("sentences")
    fresh = tuple(
        (f"s{n}", start, end, version.origin, max(1, version.version)) for n, (start, end) in enumerate(spans, 1)
    )
    if not isinstance(given, list) or len(given) != len(spans):
        return fresh, len(spans) + 1
    found = []
    for sentence, (start, end) in zip(given, spans, strict=True):
        if not isinstance(sentence, dict) or not number_of(str(sentence.get("id"))):
            raise ProfileError(f"{place}: a sentence has no id such as s1; leave 'sentences' out or export again")
        if sentence.get("text", version.text[start:end]) != version.text[start:end]:
            return fresh, len(spans) + 1
        # A sentence that is still the same keeps id, author and first version.
        since = _number(sentence, "since", place)
        found.append((sentence["id"], start, end, "user" if sentence.get("origin") == "user" else "model", since))
    if len({name for name, *_ in found}) != len(found):
        raise ProfileError(f"{place}: two sentences have the same id; leave 'sentences' out or export again")
    return tuple(found), max((number_of(name) for name, *_ in found), default=0) + 1


def _text(row: Mapping[str, Any], key: str, place: str) -> str:
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and key == "user_id":
        value = str(value)
    if not isinstance(value, str):
        found = "nothing" if value is None else type(value).__name__
        raise ProfileError(f"{place} has {found} where its {key} should be; give text")
    return schema.checked(value, f"{place}: {key}")


def _texts(row: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ProfileError(f'{place}: {key} is no list of texts; write it as ["one", "two"]')
    return tuple(schema.checked(item, f"{place}: {key}") for item in value)


def _number(row: Mapping[str, Any], key: str, place: str) -> int:
    value = row.get(key) or 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ProfileError(f"{place}: {key} is no whole number from 0; leave it as it was exported")
    return value


def _time(row: Mapping[str, Any], place: str) -> float:
    value = row.get("created") or 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11 or math.isnan(value):
        raise ProfileError(f"{place}: created is no time in seconds since 1970; leave it as it was exported")
    return round(float(value), 3)


def _score(row: Mapping[str, Any], place: str) -> dict[str, Any] | None:
    value = row.get("score")
    if value is not None and not isinstance(value, dict):
        raise ProfileError(f"{place}: score is no object; leave it as it was exported")
    return value or None
