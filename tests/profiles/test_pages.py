"""Cleaning of pages: what deleted rows left goes while others write, and the file stays sound."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from support.running import ENVIRONMENT

from plus.profiles import pages
from plus.profiles.database import raw_file
from plus.profiles.forget import forget_user
from plus.profiles.saving import save_user
from plus.profiles.statements import delete_user
from plus.profiles.store import Store
from plus.profiles.upkeep import upkeep
from plus.types import Entry, Event

NAMES = [f"somebody-{n * 7919 % 4001:05}" for n in range(1200)]


def filled(path: Path) -> Store:
    """A store whose index pages were split many times, of which every second user is deleted."""
    store = Store(path)
    store.file.connection.execute("PRAGMA synchronous = OFF")
    with store.transaction():
        for name in NAMES:
            store.add_events([Entry(name, Event(f"{name}-e{n}", "message", "x" * (n * 37 % 300))) for n in range(2)])
    with store.transaction():
        for name in NAMES[::2]:
            delete_user(store.do, store.sql, store.user(name).number)
    return store


def left(path: Path) -> int:
    content = path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()
    return sum(name.encode() in content for name in NAMES[::2])


def test_nothing_is_left_and_nobody_waits(tmp_path, monkeypatch):
    """A process that writes all the time goes on while the pages are cleaned, and its old pages bring nothing back."""
    store = filled(tmp_path / "profiles.db")
    store.file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert left(store.file.path) > 0, "if this SQLite leaves nothing behind, pages.py can go"
    zero, written = pages._zero, list[int]()

    def slowly(file, size, numbers):
        zero(file, size, numbers)
        if not written:  # After the first pass a page that another connection has in memory is written again.
            written.append(save_user(writer, NAMES[1], "Likes tea.", 0).version)
            writer.add_events([Entry(name, Event("", "message", f"new words of {name}")) for name in NAMES[1::2]])

    with Store(store.file.path) as writer:
        assert len(list(writer.users())) == 600
        monkeypatch.setattr(pages, "_zero", slowly)
        assert upkeep(store.file).clean([]) == ""
        assert written == [1]
        assert writer.current(NAMES[1]).text == "Likes tea."
    assert left(store.file.path) == 0
    assert store.file.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert store.number(store.sql.count_events) == 600 * 3
    store.close()


def test_a_reader_of_an_old_state_postpones_it(tmp_path):
    store = filled(tmp_path / "profiles.db")
    with Store(store.file.path) as reader, reader.snapshot():
        assert len(list(reader.users())) == 600
        save_user(store, NAMES[1], "Likes tea.", 0)
        assert not pages.clean(store.file.path, 0.0)
    assert pages.clean(store.file.path, 0.0)
    store.close()


def test_the_cleaned_pages_are_those_of_every_kind(tmp_path):
    """Every page of every tree is looked at, and no page of long values or free ones."""
    store = filled(tmp_path / "profiles.db")
    store.add_events([Entry("long", Event("", "message", "y" * 50_000))])
    store.file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = store.file.connection.execute("PRAGMA page_size").fetchone()[0]
    found = pages._pages(raw_file(store.file.path), size, pages._roots(store.file.connection))
    (total,) = store.file.connection.execute("PRAGMA page_count").fetchone()
    (free,) = store.file.connection.execute("PRAGMA freelist_count").fetchone()
    overflow = -(-50_000 // (size - 4))
    assert len(set(found)) == len(found) and total - free - overflow - 1 <= len(found) <= total - free - overflow + 1
    store.close()


def test_reading_the_bytes_keeps_the_locks_of_sqlite(tmp_path):
    """Another process that closes the store must not take itself for the last one and delete the log in use."""
    with Store(tmp_path / "profiles.db") as store:
        for name in ("ann", "bob"):
            save_user(store, name, f"{name} likes tea.", 0)
        forget_user(store, "ann")
        code = "import sys; from plus.profiles.store import Store; Store(sys.argv[1]).close()"
        subprocess.run([sys.executable, "-c", code, store.file.path], env=ENVIRONMENT, check=True)
        assert (tmp_path / "profiles.db-wal").exists()
        save_user(store, "bob", "Bob likes coffee.", 1)
        with Store(store.file.path) as other:
            assert other.current("bob").text == "Bob likes coffee."


def test_writers_go_on_during_a_long_cleaning(tmp_path, monkeypatch):
    store, waited = filled(tmp_path / "profiles.db"), list[float]()
    zero, done = pages._zero, threading.Event()

    def long(file, size, numbers):
        time.sleep(0.5)
        zero(file, size, numbers)

    def write():
        with Store(store.file.path) as writer:
            while not done.is_set():
                writer.add_events([Entry(NAMES[1], Event("", "message", f"at {time.time()}"))])
                waited.append(time.monotonic())

    monkeypatch.setattr(pages, "_zero", long)
    thread = threading.Thread(target=write)
    thread.start()
    while not waited:
        time.sleep(0.01)
    before = len(waited)
    assert pages.clean(store.file.path, 10.0)
    done.set()
    thread.join()
    assert len(waited) > before + 1, "it wrote while the pages were cleaned"
    store.close()
