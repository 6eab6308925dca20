"""A connection is never older than its file: replaced, deleted, put back, or written where SQLite cannot see it."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress

import pytest

from plus.errors import ProfileError
from plus.profiles import database, sqlite_file
from plus.profiles.forget import forget_user
from plus.profiles.saving import save_user
from plus.profiles.store import Store


def text(store: Store, user_id: str) -> str | None:
    found = store.summary(user_id)
    return found.text if found else None


@pytest.fixture
def path(tmp_path):
    with Store(tmp_path / "own" / "p.db") as store:
        save_user(store, "mia", "Bakes rye bread.", 0)
        save_user(store, "tom", "Rows on lakes.", 0)
    return tmp_path / "own" / "p.db"


@pytest.fixture
def unwritable(path, tmp_path, monkeypatch):
    """The same file by a path that this process may not write, as on a disk that is mounted for reading."""
    (tmp_path / "seen").symlink_to(path.parent)
    really = sqlite_file.is_writable
    monkeypatch.setattr(sqlite_file, "is_writable", lambda found: "seen" not in found.parts and really(found))
    return tmp_path / "seen" / "p.db"


def test_a_store_that_cannot_be_written_shows_edits_and_forgetting_at_once(path, unwritable):
    with Store(unwritable, create=False) as seen:
        assert not seen.writable and text(seen, "mia") == "Bakes rye bread."
        with Store(path) as store:
            save_user(store, "mia", "Bakes wheat bread.", 1)
            assert text(seen, "mia") == "Bakes wheat bread.", "while the log is open"
            forget_user(store, "tom")
            assert text(seen, "tom") is None
        assert text(seen, "mia") == "Bakes wheat bread.", "the log is gone again"
        with Store(path) as store:
            save_user(store, "zoe", "Keeps bees.", 0)
        assert text(seen, "zoe") == "Keeps bees." and list(seen.users()) == ["mia", "zoe"]
        with pytest.raises(ProfileError, match="cannot be written"):
            save_user(seen, "zoe", "x", 1)


def test_no_read_is_torn_while_another_connection_writes(path, unwritable):
    stop, wrong = threading.Event(), []

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with Store(path) as store:  # Closing it writes the log into the file.
                save_user(store, "mia", f"Round {number}. " * 200, number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with Store(unwritable, create=False) as seen:
            for _ in range(50):
                with suppress(ProfileError):  # "written while it was read": said, not guessed.
                    found = text(seen, "mia") or ""
                    wrong += [found] if len({part.strip() for part in found.split(".") if part.strip()}) != 1 else []
    finally:
        stop.set()
        thread.join()
    assert wrong == []


def test_a_planted_connection_that_does_not_look_is_noticed(path, unwritable, monkeypatch):
    """What it was before: a file opened once as one that nobody writes."""
    monkeypatch.setattr(database.Database, "_look", lambda self: None)
    with Store(unwritable, create=False) as seen:
        assert text(seen, "mia") == "Bakes rye bread."
        with Store(path) as store:
            save_user(store, "mia", "Bakes wheat bread.", 1)
        monkeypatch.setattr(database, "file_state", lambda _: seen.file.state)
        assert text(seen, "mia") == "Bakes rye bread."


def test_a_replaced_store_is_read_and_its_salt_with_it(path, tmp_path):
    with Store(tmp_path / "new.db") as other:
        save_user(other, "mia", "Bakes nothing.", 0)
    with Store(path) as store:
        before, version = store.salt, store.change_counter()
        assert text(store, "mia") == "Bakes rye bread." and store.change_counter() == version
        os.replace(tmp_path / "new.db", path)
        assert text(store, "mia") == "Bakes nothing." and text(store, "tom") is None
        assert store.salt != before and store.change_counter() != version


def test_a_deleted_store_is_an_error_until_it_is_back(path, tmp_path):
    copy = shutil.copy(path, tmp_path / "copy.db")
    with Store(path) as store:
        assert text(store, "mia")
        for file in path.parent.iterdir():
            file.unlink()
        for _ in range(2):
            with pytest.raises(ProfileError, match="was deleted; put it back"):
                store.summary("mia")
        with pytest.raises(ProfileError, match="was deleted"):
            save_user(store, "mia", "x", 1)
        assert not path.exists(), "nothing makes a new one in its place"
        shutil.copy(copy, path)
        assert text(store, "mia") == "Bakes rye bread."


def test_a_copy_put_beside_the_old_log_is_refused_and_not_mixed_with_it(path, tmp_path):
    copy = shutil.copy(path, tmp_path / "copy.db")
    with Store(path) as writer, Store(path) as store:
        save_user(writer, "mia", "Bakes wheat bread.", 1)  # It stands in the log alone.
        assert text(store, "mia") == "Bakes wheat bread."
        os.replace(copy, path)
        with pytest.raises(ProfileError, match=r"replaced while its log was in use; .* remove p.db-wal and p.db-shm"):
            store.summary("mia")


def test_the_change_counter_tells_of_the_writes_of_others_only(path):
    with Store(path) as store, Store(path) as other:
        first = store.change_counter()
        assert store.change_counter() == first
        save_user(other, "mia", "Bakes wheat bread.", 1)
        assert store.change_counter() != first
