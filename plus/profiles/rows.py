"""Rows of profiles: a line of JSONL, a file of Markdown, and the memories of other assistants.

Reading a row that we wrote loses nothing. Memories are dated sentences about one person, as programs print, take and
keep them. In: lines `[date] - content` (as ChatGPT, Claude and Gemini print them for moving), Markdown without front
matter (`USER.md`, `MEMORY.md`, `human.md`), and JSON: Portable AI Memory 1.0 (PAM), Mem0's results, Letta's memory
blocks, Honcho's peer cards. Out: the lines, PAM and Mem0. What a file brings in is the user's own.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from plus.errors import ProfileError
from plus.profiles import schema, versions
from plus.profiles.sentences import carry, number_of, split
from plus.profiles.store import Store
from plus.profiles.text_filters import flags
from plus.profiles.versions import Rules, Version, joined
from plus.sources.fields import UnusableError, seconds
from plus.types import Dropped

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

    def masked(self, mask: Callable[[str], str]) -> Profile:
        """Mask every text of the user, those of rules too; ids stay."""
        rules = Rules(*(tuple(map(mask, texts)) for texts in (self.rules.lock, self.rules.forbid, self.rules.removed)))
        masked = self.with_text(mask(self.version.text))
        return masked if rules == self.rules else replace(masked, rules=rules, reduced=True)


def profiles(store: Store, users: Collection[str] | None = None, since: float | None = None) -> Iterator[Profile]:
    """Yield users' current profiles in order of appearance, all of one state of the store.

    users: these only. since: only users whose text or rules changed since, or who came, in seconds since 1970.
    """
    where, values = "", list[Any]()
    if users is not None:
        where, values = " AND u.user_id IN (SELECT value FROM json_each(?))", [json.dumps(list(users))]
    if since is not None:
        where, values = f"{where} AND u.changed >= ?", [*values, since]
    columns = ", ".join(f"v.{name}" for name in versions.COLUMNS.split(", "))
    found = store.rows(
        f"SELECT u.number, u.user_id, u.next_sentence, u.paused, {columns} FROM users u JOIN versions v "
        f"ON v.user = u.number AND v.version = u.current WHERE 1{where} ORDER BY u.number",
        values,
    )
    # One query a user would be slow for a million users, and few of them have rules.
    fixed = {number for (number,) in store.rows("SELECT DISTINCT user FROM rules")}
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
    rules = Rules(*(_texts(row, key, place) for key in ("locked", "forbidden", "removed")))
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


# Memories


_LINE = re.compile(r"^\[(?P<date>[^\]\n]{1,40})\][ \t]*(?:-|\u2013|\u2014|:)?[ \t]*(?P<text>\S.*)$")
_BULLET = re.compile(r"^[ \t]*(?:[-*+\u2022]|\d{1,4}[.)])[ \t]+")
_FENCE = re.compile(r"^[ \t]*(```|~~~)")


class Memory(NamedTuple):
    """Memory of another program: a sentence about a user. `user_id` is "" and `time` None where none is stated."""

    user_id: str
    text: str
    time: float | None = None


def memories_of_text(text: str, where: str, dropped: Dropped) -> list[Memory]:
    """Read dated lines, bullets or plain lines; headings, fences and rules of Markdown are counted and left out."""
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        bare = line.strip()
        if not bare:
            continue
        if bare.startswith("#") or _FENCE.match(bare) or set(bare) <= set("-=*_ "):
            dropped.add("lines that are headings or marks of Markdown", f"{where} line {number}")
            continue
        dated = _LINE.match(_BULLET.sub("", bare))
        content = dated["text"].strip() if dated else _BULLET.sub("", bare).strip()
        if content:
            found.append(Memory("", content, _moment(dated["date"], where, number, dropped) if dated else None))
    return found


def memories_of_json(value: Any, where: str, dropped: Dropped) -> list[Memory] | None:
    """Read the memories of a JSON document of another program; None for one of no known kind."""
    match value:
        # PAM 1.0: one owner, memories with their times.
        case {"schema": "portable-ai-memory", "memories": list(rows)}:
            owner = value.get("owner")
            user_id = str(owner.get("id") or "") if isinstance(owner, dict) else ""
            return list(_memory_rows(rows, "content", user_id, where, dropped))
        # Mem0: {"results": [...]} or the list alone.
        case {"results": list(rows)}:
            return list(_memory_rows(rows, "memory", "", where, dropped))
        case [{"memory": str()}, *_] as rows:
            return list(_memory_rows(rows, "memory", "", where, dropped))
        # Letta: blocks, of which "human" is about the user.
        case {"blocks": list(blocks)} | {"core_memory": list(blocks)}:
            about = [block for block in blocks if isinstance(block, dict) and block.get("label") == "human"]
            if others := len(blocks) - len(about):
                dropped.add("blocks of memory that are not about the user", where, others)
            return [one for block in about for one in memories_of_text(str(block.get("value") or ""), where, dropped)]
        # Honcho: the card of a peer.
        case {"peer_card": list(lines)}:
            peer = str(value.get("peer_id") or "")
            return [Memory(peer, line.strip()) for line in lines if isinstance(line, str) and line.strip()]
    return None


def gathered(memories: Iterable[Memory], user_id: str, where: str) -> Iterator[dict[str, Any]]:
    """Join each user's memories to one text; yields rows with the newest date as `created`, and all dates in the note.

    user_id: of memories that name nobody. Raises ProfileError when it is needed and not given.
    """
    of_user: dict[str, list[Memory]] = {}
    for memory in memories:
        of_user.setdefault(memory.user_id or user_id, []).append(memory)
    if "" in of_user:
        raise ProfileError(f"{where} does not say whose memories these are; say it with --user_id")
    for name, them in of_user.items():
        dated = {_one_line(one.text): one.time for one in reversed(them)}
        texts = list(dict.fromkeys(_one_line(one.text) for one in them))
        dates = ", ".join(_iso(moment)[:10] if (moment := dated[text]) else "no date" for text in texts)
        yield {
            "user_id": name, "text": joined([_ended(text) for text in texts]),
            "created": max((one.time or 0.0 for one in them), default=0.0),
            "note": f"brought in from {where}" + (f"; dated {dates}" if any(dated.values()) else ""),
        }  # fmt: skip


def dated_lines(text_of: Iterable[str], created: float) -> Iterator[str]:
    """Write sentences as dated lines."""
    date = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d") if created else "no date"
    for text in text_of:
        yield f"[{date}] - {_one_line(text)}\n"


def as_pam(user_id: str, sentences: Iterable[str], created: float, exported: float) -> dict[str, Any]:
    """Write one user's sentences as a PAM 1.0 document."""
    moment = _iso(created or exported)
    return {
        "schema": "portable-ai-memory", "schema_version": "1.0", "export_type": "full", "export_date": _iso(exported),
        "export_id": hashlib.sha256(f"{user_id}\0{exported}".encode()).hexdigest()[:32], "owner": {"id": user_id},
        "memories": [
            {
                "id": f"m{number}", "type": "preference", "content": text,
                "content_hash": f"sha256:{hashlib.sha256(text.strip().lower().encode()).hexdigest()}",
                "temporal": {"created_at": moment},
                "provenance": {"platform": "plus", "extraction_method": "explicit_user_input"},
            }
            for number, text in enumerate(sentences, start=1)
        ],
    }  # fmt: skip


def as_mem0(user_id: str, sentences: Iterable[str], created: float) -> Iterator[dict[str, Any]]:
    """Write one user's sentences as Mem0's rows."""
    for text in sentences:
        name = hashlib.sha256(f"{user_id}\0{text}".encode()).hexdigest()[:32]
        yield {
            "id": name, "memory": text, "user_id": user_id, "created_at": _iso(created) if created else None,
            "updated_at": None, "metadata": None, "categories": [],
        }  # fmt: skip


def _memory_rows(rows: Iterable[Any], column: str, user_id: str, where: str, dropped: Dropped) -> Iterator[Memory]:
    for number, row in enumerate(rows, start=1):
        text = row.get(column) if isinstance(row, Mapping) else None
        if not isinstance(text, str) or not text.strip():
            dropped.add(f"memories without a {column!r}", f"{where} memory {number}")
            continue
        temporal = row.get("temporal")
        stated = temporal.get("created_at") if isinstance(temporal, dict) else row.get("created_at")
        owner = row.get("user_id")
        yield Memory(
            owner if isinstance(owner, str) else user_id, text.strip(), _moment(stated, where, number, dropped)
        )


def _moment(stated: Any, where: str, number: int, dropped: Dropped) -> float | None:
    if stated in (None, "", "no date"):
        return None
    try:
        return seconds(stated)[0]
    except UnusableError:
        dropped.add("dates that cannot be read; their memories are kept", f"{where} memory {number}")
        return None


def _one_line(text: str) -> str:
    """A memory as one line; only where it has several is its white space changed."""
    return text if len(text.splitlines()) < 2 else " ".join(text.split())


def _ended(text: str) -> str:
    """A memory ends as a sentence, so that each one is a sentence of the summary."""
    return text if text[-1] in ".!?\u2026\u3002\uff01\uff1f\u061f\u0964" else f"{text}."


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
