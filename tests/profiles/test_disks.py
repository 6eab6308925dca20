"""A full disk and a read-only one, for real: a small tmpfs, where this process may mount one."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from plus.errors import ProfileError
from plus.profiles.export import export
from plus.profiles.forget import finish_interrupted, forget_user
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.types import Entry, Event


@pytest.fixture
def disk(tmp_path):
    """A folder of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this process may not mount a small disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(store: Store) -> int:
    """Add events until the disk is full; returns how many were acknowledged."""
    done = 0
    with pytest.raises(ProfileError, match="the disk is full"):  # noqa: PT012
        while True:
            entries = (Entry(f"u{n % 5}", Event(f"e{done + n}", "message", "x" * 900)) for n in range(50))
            done += store.add_events(entries).added
    return done


def test_a_full_disk_keeps_what_was_acknowledged_and_says_so(disk: Path):
    with Store(disk / "profiles.db") as store:
        save_user(store, "ann", "Likes cats.", 0)
        done = fill(store)
        with pytest.raises(ProfileError, match="the disk is full"):
            save_user(store, "ann", "Likes dogs. " * 20_000, 1)
        with pytest.raises((ProfileError, OSError)) as caught:
            export(store, "jsonl", disk / "out.jsonl")
        assert "full" in str(caught.value) or "No space" in str(caught.value)
        assert [path.name for path in disk.iterdir() if "out" in path.name] == []
    with Store(disk / "profiles.db") as store:
        assert store.row("SELECT count(*) FROM events") == (done,)
        assert store.row("PRAGMA integrity_check") == ("ok",)
        assert store.current("ann").text == "Likes cats."


def test_forgetting_on_a_full_disk_is_done_or_can_be_completed(disk: Path):
    """The rewriting needs room; without it the user is gone from every reader and the rest is owed."""
    with Store(disk / "profiles.db") as store:
        fill(store)
        with suppress(ProfileError):
            forget_user(store, "u1")
    with Store(disk / "profiles.db") as store:
        there = "u1" in set(store.users())
        assert there != store.is_forgotten("user", "u1"), "before or after, never between"
    subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
    with Store(disk / "profiles.db") as store:
        if there:
            forget_user(store, "u1")
        finish_interrupted(store)
        assert store.row("SELECT 1 FROM meta WHERE key = 'rewrite'") is None
        assert "u1" not in set(store.users())


def test_a_read_only_disk_is_read_and_refuses_writing(disk: Path):
    with Store(disk / "profiles.db") as store:
        save_user(store, "ann", "Likes cats.", 0)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with Store(disk / "profiles.db") as store:
        assert store.summary("ann").text == "Likes cats."
        export(store, "jsonl", disk.parent / "out.jsonl")
        with pytest.raises(ProfileError, match="this store cannot be written"):
            save_user(store, "ann", "Likes dogs.", 1)
        with pytest.raises(ProfileError, match="this store cannot be written"):
            forget_user(store, "ann")
    with pytest.raises((ProfileError, OSError), match=r"Read-only|cannot be written"):
        Store(disk / "new.db")
