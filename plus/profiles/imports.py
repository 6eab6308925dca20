"""Import of profiles: from a JSONL file, or from Markdown files as people edited them.

A change in a file is a person's edit and becomes a new version. A file made from an older version is not written over
the newer one, and a forgotten user stays forgotten.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from plus.errors import ConflictError, DiskError, ForgottenError, ProfileError
from plus.profiles import actions, memories, versions
from plus.profiles.decisions import pause
from plus.profiles.markdown_files import from_markdown
from plus.profiles.memories import Memory
from plus.profiles.person import FORMAT as PERSON
from plus.profiles.rows import FORGOTTEN, Profile, from_row
from plus.profiles.saving import put, save_user, set_rule
from plus.profiles.sentences import normalized
from plus.profiles.store import Store
from plus.profiles.text_filters import holds
from plus.profiles.transfer import Person, add_person
from plus.profiles.users import UserRow
from plus.profiles.versions import Rules
from plus.types import Dropped

BATCH = 500  # profiles a transaction
_KINDS = ("lock", "forbid", "removed", "paused")


@dataclass
class Imported:
    """Counts of an import's profiles: new, edits of known users, unchanged, refused; conflicts are (line, diff)."""

    new: int = 0
    edited: int = 0
    unchanged: int = 0
    forgotten: int = 0
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    dropped: Dropped = field(default_factory=Dropped)

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {
            "new": self.new, "edited": self.edited, "unchanged": self.unchanged, "forgotten": self.forgotten,
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values; a conflict is its line."""
        return {**self.counts(), "conflicts": [line for line, _ in self.conflicts], "dropped": dict(self.dropped)}


def read(
    source: Path, dropped: Dropped, stdin: BinaryIO | None = None, user_id: str = ""
) -> Iterator[Profile | Person]:
    """Read the profiles of a JSONL file (or stdin), a Markdown file, or a folder of those; broken ones are counted.

    Memories of other programs (memories.py) are of `user_id` where they name nobody. Raises ProfileError for anything
    else.
    """
    # The source's kind: stdin, a folder, Markdown by its name, JSON lines for the rest.
    if stdin is not None:
        yield from _jsonl(stdin, "stdin", dropped)
    elif source.is_dir():
        files = sorted(source.glob("*.md"))
        if not files:
            raise ProfileError(
                f"{source} is neither a run folder nor one of Markdown files; give what plus export or plus train wrote"
            )
        for path in files:
            yield from _markdown(path, dropped, user_id)
    elif not source.is_file():
        raise ProfileError(f"there is no file or folder {source}; give what plus export wrote, or a run folder")
    elif source.suffix == ".md":
        yield from _markdown(source, dropped, user_id)
    elif (found := _of_others(source, dropped)) is not None:
        yield from _memories(found, user_id, source.name)
    elif source.suffix in (".parquet", ".csv"):
        raise ProfileError(
            f"{source}: {source.suffix[1:]} is for other programs and cannot come back; import JSONL or Markdown"
        )
    else:
        with source.open("rb") as file:
            yield from _jsonl(file, source.name, dropped)


def add(store: Store, found: Iterator[Profile | Person], receipt: Imported) -> Imported:
    """Put profiles, and persons with all their versions and events, into the store, `BATCH` a transaction.

    Raises DiskError that says how many are in.
    """
    written = 0
    while chunk := list(islice(found, BATCH)):
        try:
            with store.transaction():
                store.hold(one.user_id if isinstance(one, Person) else one.version.user_id for one in chunk)
                before = receipt.new
                for profile in chunk:
                    _add(store, profile, receipt)
                if receipt.new > before:
                    actions.note(store, "import", what=f"{receipt.new - before} new users")
        except DiskError as error:
            raise DiskError(f"{error}; {written:,} profiles of the file were read before and are kept") from error
        written += len(chunk)
    return receipt


def _add(store: Store, profile: Profile | Person, receipt: Imported) -> None:
    """One profile or person: new, an edit of a known one, or a reason why not."""
    user_id = profile.user_id if isinstance(profile, Person) else profile.version.user_id
    try:
        if isinstance(profile, Person):
            is_new = add_person(store, profile)
            receipt.new += is_new
            receipt.unchanged += not is_new
        else:
            _add_profile(store, profile, receipt)
    except ForgottenError:
        receipt.forgotten += 1
    except DiskError:
        raise
    except ConflictError as error:
        receipt.conflicts.append((f"{user_id}: {error}", error.diff))
    except ProfileError as error:
        receipt.dropped.add(f"profiles that break a rule: {error}", user_id)


def _add_profile(store: Store, profile: Profile, receipt: Imported) -> None:
    new = profile.version
    # 1. The store's version, unless the user was forgotten.
    user = store.find(new.user_id)
    if user is None and store.is_forgotten("user", new.user_id):
        receipt.forgotten += 1
        return
    current = store.version(new.user_id, user.current) if user and user.current else None
    # 2. A new user, an unchanged profile, or an edit; what is refused is counted with its reason.
    if current is None:
        _put(store, profile, user, receipt)
    elif profile.is_memory:
        _append(store, profile, current, receipt)
    elif current.text == new.text and _same_rules(store, profile):
        receipt.unchanged += 1
    else:
        _edit(store, profile, current, receipt)


def _put(store: Store, profile: Profile, user: UserRow | None, receipt: Imported) -> None:
    """Write the first version of a user as it is, with its number."""
    # A forgotten event in the evidence means that the summary was written from it.
    created = profile.version.created or round(time.time(), 3)
    new = replace(profile.version, version=max(1, profile.version.version), created=created)
    if any(store.is_forgotten("event", new.user_id, event) for event in new.evidence):
        raise ForgottenError("")
    bans = store.bans()
    if banned := {one.id for one in new.sentences if holds(bans, one.text)} if bans else set():
        new = versions.leave_out(new, banned, profile.next_sentence)
        receipt.dropped.add("sentences that a rule for all users keeps out", new.user_id, len(banned))
    with store.transaction():
        before = store.rules(new.user_id) if user else Rules()
        user = user or UserRow(store.add_user(new.user_id), 0, 0, 1, 0, 0, 0)
        put(store, user, new, profile.next_sentence)
        _set_rules(store, new.user_id, before, profile.rules)
        if profile.paused:
            pause(store, new.user_id)
    receipt.new += 1


def _append(store: Store, profile: Profile, current: versions.Version, receipt: Imported) -> None:
    """Add the sentences of another program's memory that the summary lacks, as the user's own."""
    known = {normalized(sentence.text) for sentence in current.sentences}
    added = [one.text for one in profile.version.sentences if normalized(one.text) not in known]
    if not added:
        receipt.unchanged += 1
        return
    change = versions.edit(current, {}, added, ())
    save_user(store, current.user_id, change.text, current.version, note=profile.version.note)
    receipt.edited += 1


def _edit(store: Store, profile: Profile, current: versions.Version, receipt: Imported) -> None:
    new = profile.version
    if profile.reduced:
        raise ProfileError(
            "a file that was shortened or redacted (--max_tokens, --redact_pii) is no edit of the full text"
        )
    if new.version != current.version:
        raise ConflictError(
            f"the file was made from version {new.version or 'none'} and the store has {current.version}; "
            "nothing was written, export again or use plus profile edit --from",
            versions.diff(current, new.text, "the file"),
        )
    # Rules first: the text is held to them. What was removed follows from the text.
    before = store.rules(new.user_id)
    with store.transaction():
        _set_rules(store, new.user_id, before, replace(profile.rules, removed=before.removed))
        save_user(store, new.user_id, new.text, current.version, note="edited in a file")
    receipt.edited += 1


def _same_rules(store: Store, profile: Profile) -> bool:
    """Whether file and store have the same locks and bans; what was removed follows from the text."""
    here = store.rules(profile.version.user_id)
    there = profile.rules
    return all(set(getattr(here, kind)) == set(getattr(there, kind)) for kind in ("lock", "forbid", "paused"))


def _set_rules(store: Store, user_id: str, before: Rules, after: Rules) -> None:
    for kind in _KINDS:
        old, new = set(getattr(before, kind)), set(getattr(after, kind))
        for text in old ^ new:
            set_rule(store, user_id, kind, text, text in new)


def _memories(found: Iterable[Memory], user_id: str, where: str) -> Iterator[Profile]:
    for row in memories.gathered(found, user_id, where):
        yield replace(from_row(row, where), is_memory=True)


def _of_others(source: Path, dropped: Dropped) -> list[Memory] | None:
    """The memories of another program's file; None for JSON lines, which are ours."""
    if source.suffix == ".txt":
        return memories.memories_of_text(_decoded(source), source.name, dropped)
    if source.suffix != ".json":
        return None
    try:
        value = json.loads(_decoded(source))
    except (ValueError, RecursionError):
        return None
    return memories.memories_of_json(value, source.name, dropped)


def _decoded(source: Path) -> str:
    try:
        return source.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ProfileError(f"{source} is no UTF-8 at byte {error.start}; save it as UTF-8") from None


def _markdown(path: Path, dropped: Dropped, user_id: str) -> Iterator[Profile]:
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        if user_id and not content.startswith(b"---") and content.strip():
            yield from _memories(memories.memories_of_text(_decoded(path), path.name, dropped), user_id, path.name)
            return
        yield from_row(from_markdown(path.read_bytes(), path.name), path.name)
    except ProfileError as error:
        dropped.add(str(error), str(path))


def _jsonl(file: BinaryIO, name: str, dropped: Dropped) -> Iterator[Profile | Person]:
    """Profiles of JSON lines. Unlike `jsonl.numbered` this counts a bad line and goes on."""
    for number, line in enumerate(file, start=1):
        where = f"{name} line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            dropped.add("lines that are no JSON object", where)
            continue
        if not isinstance(row, dict):
            dropped.add("lines that are no JSON object", where)
            continue
        if row.get("format") == FORGOTTEN:
            continue  # Of a feed of changes: nobody to import.
        if row.get("format") == PERSON:
            yield Person(row, where)
            continue
        try:
            yield from_row(row, where)
        except ProfileError as error:
            dropped.add(str(error), where)
