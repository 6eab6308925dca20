"""Export of profiles to a new file or folder, which is complete or not there at all."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from plus.errors import ProfileError
from plus.profiles import attribution
from plus.profiles.attribution import Kept
from plus.profiles.engine import FORGETTING
from plus.profiles.formats import FORMATS, used_by
from plus.profiles.rows import Profile, profiles, to_row
from plus.profiles.scrub import remove
from plus.profiles.store import Store
from plus.profiles.target import Target
from plus.profiles.text_filters import redact
from plus.profiles.versions import Version
from plus.types import Scorer

Change = Callable[[Profile], Profile]


@dataclass
class Changes:
    """Changes to each profile on its way out: shortened to `max_tokens`, personal data masked.

    scorer: ranks sentences by what they are worth. tokens: counts a text's tokens.
    masked: counts of personal data by kind. kept: predictive value of each shortened text.
    """

    store: Store
    redact_pii: bool = False
    max_tokens: int | None = None
    scorer: Scorer | None = None
    tokens: Callable[[str], int] = len
    masked: Counter[str] = field(default_factory=Counter)
    kept: list[Kept] = field(default_factory=list)

    def __call__(self, profile: Profile) -> Profile:
        """Shorten and mask a profile."""
        # Shortened first: a mask changes the sentences that a budget chooses from.
        if self.scorer is not None and self.max_tokens is not None:
            events = attribution.held_out(self.store, profile.version.user_id, profile.version)
            text, value = attribution.choose(
                self.scorer, profile.version, events, self.tokens, self.max_tokens, profile.rules.lock
            )
            profile = profile.with_text(text)
            self.kept.extend([value] if value is not None else [])
        if self.redact_pii:
            profile = profile.masked(lambda text: redact(text, self.masked))
        return profile

    def value_kept(self) -> dict[str, float | int | None] | None:
        """Average the predictive value over the shortened texts that could be judged; None where none could."""
        if not self.kept:
            return None
        means = attribution.mean_kept(self.kept)
        whole, kept, empty = means.whole, means.kept, means.empty
        return {"users": len(self.kept), "whole": whole, "kept": kept, "empty": empty, "share": means.share}


@dataclass
class Exported:
    """Result of an export. left_out: counts of what the format cannot hold. flagged: counts of texts to look at."""

    path: str
    users: int = 0
    rows: int = 0
    bytes: int = 0
    flagged: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self, changes: Changes) -> dict[str, Any]:
        """Convert to plain values, with what the changes masked and kept."""
        return {
            "path": self.path, "users": self.users, "rows": self.rows, "bytes": self.bytes,
            "flagged": dict(self.flagged), "left_out": dict(self.left_out), "masked": dict(changes.masked),
            "value_kept": changes.value_kept(),
        }  # fmt: skip


def export(
    store: Store,
    form: str,
    output: Path,
    users: Collection[str] | None = None,
    since: float | None = None,
    change: Change | None = None,
    stdout: BinaryIO | None = None,
) -> Exported:
    """Write the current profiles to `output`, a new file (`markdown`: a new folder), or to `stdout`.

    A user who is forgotten while this runs is not in it: it begins anew. Raises ProfileError when the output exists,
    and UnknownUserError.
    """
    # 1. Refuse what cannot be written before anything is.
    if form not in FORMATS:
        raise ProfileError(f"there is no format {form!r}; --format takes {', '.join(FORMATS)}")
    for user_id in users or ():
        store.user(user_id)
    if form == "full" and (since is not None or change is not None):
        raise ProfileError("full holds everything; leave out --since, --redact_pii and --max_tokens, or take jsonl")
    if stdout is not None and form in ("markdown", "parquet"):
        raise ProfileError(
            f"{form} cannot go to stdout; give --output a new {'folder' if form == 'markdown' else 'file'}"
        )
    if stdout is None and (output.exists() or output.is_symlink()):
        raise ProfileError(f"{output} exists and nothing is overwritten; give another --output")
    # 2. Write it under another name, and give it its own unless a user was forgotten meanwhile.
    while True:
        tombstones = store.forgotten()
        found = Exported(str(output))
        paused = Counter[str]()
        all_of_them = _everybody(store, users) if form == "full" else profiles(store, users, since)
        changed = _changed(used_by(form, all_of_them, paused), change, found)
        if stdout is not None:
            return _written(store, form, changed, Target(Path(), stdout, since, left_out=paused), found)
        with _registered(store, output, users) as (partial, number):
            _written(store, form, changed, Target(partial, None, since, left_out=paused), found)
            found.bytes = sum(p.stat().st_size for p in ([partial] if partial.is_file() else partial.iterdir()))
            if _publish(store, partial, output, number, tombstones):
                return found


def preview(
    store: Store, users: Collection[str] | None = None, since: float | None = None, change: Change | None = None
) -> dict[str, Any]:
    """Count the profiles of an export, and show the first as a row, without writing. Raises UnknownUserError."""
    for user in users or ():
        store.user(user)
    count, first = 0, None
    for profile in profiles(store, users, since):
        count += 1
        first = first or (change(profile) if change else profile)
    return {"users": count, "first": to_row(first) if first else None, "written": False}


def _everybody(store: Store, users: Collection[str] | None) -> Iterator[Profile]:
    """Name every user, those without a summary too."""
    return (Profile(Version(user_id, 0, "")) for user_id in (store.users() if users is None else users))


def _changed(found: Iterable[Profile], change: Change | None, counts: Exported) -> Iterator[Profile]:
    for profile in found:
        if change is not None:
            profile = change(profile)
        counts.users += 1
        yield profile


def _written(store: Store, form: str, found: Iterable[Profile], target: Target, counts: Exported) -> Exported:
    FORMATS[form](store, found, target)
    counts.rows, counts.flagged, counts.left_out = target.rows, target.flagged, target.left_out
    return counts


@contextmanager
def _registered(store: Store, output: Path, users: Collection[str] | None) -> Iterator[tuple[Path, int | None]]:
    """A partial file or folder beside the output, known to the store: `plus forget` must find both."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.resolve().with_name(f".{output.name}.partial-{os.getpid()}")
    number = None
    if store.writable:
        hashes = json.dumps([store.fingerprint("user", user) for user in users]) if users is not None else ""
        with store.transaction():
            values = (str(output.resolve()), str(partial), os.getpid(), hashes, time.time())
            number = store.number(store.sql.add_export, values)
    try:
        yield partial, number
    finally:
        remove(partial)
        if number is not None:
            with store.transaction():
                store.do(store.sql.drop_unfinished_export, (number,))


def _publish(store: Store, partial: Path, output: Path, number: int | None, tombstones: int) -> bool:
    """Give the finished file its name; False if a user was forgotten since it was begun.

    Both in one transaction, so that a forget comes either before (and is seen) or after (and finds the file listed).
    """
    with store.transaction() if number is not None else nullcontext():
        store.hold([FORGETTING])
        if store.forgotten() != tombstones:
            return False
        _rename(partial, output)
        if number is not None:
            store.do(store.sql.finish_export, (time.time(), number))
    return True


def _rename(partial: Path, output: Path) -> None:
    """Rename, and never onto something that is there."""
    taken = ProfileError(f"{output} exists and nothing is overwritten; give another --output")
    try:
        if partial.is_dir():
            os.rename(partial, output)  # Onto an empty folder at most: the system refuses any other.
        else:
            os.link(partial, output)  # Unlike a rename, a link overwrites nothing.
    except FileExistsError:
        raise taken from None
    except PermissionError:  # A disk without hard links.
        if output.exists():
            raise taken from None
        os.rename(partial, output)
