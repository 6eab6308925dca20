"""The store's file: events once each, readers beside writers, and files that are not ours."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.running import ENVIRONMENT

from plus.errors import ForgottenError, ProfileError, UnknownUserError
from plus.profiles import schema
from plus.profiles.adding import Added
from plus.profiles.saving import save_model, save_user
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference, Reaction, Turn

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TURNS = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant", "system"]), TEXT)).map(tuple)
CONTENT = st.one_of(
    st.builds(Preference, TEXT, TEXT, TEXT, TURNS), st.builds(Reaction, TEXT, TEXT, st.booleans(), TURNS), TEXT, TURNS
)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "profiles.db"


def choice(number: int, time: float | None = None) -> Event:
    return Event(f"e{number}", "choice", Preference("p", f"chosen {number}", "r"), time, "log")


@given(CONTENT)
def test_what_happened_comes_back_as_it_was(content):
    if content != ():  # No turns at all: nothing happened.
        assert schema.decode_content(schema.encode_event(Event("e", "message", content))) == content


def test_the_same_event_twice_changes_nothing(path):
    with Store(path) as store:
        entries = [Entry("ann", choice(n), "c") for n in range(5)]
        assert store.add_events(entries) == Added(5, 0, 0)
        save_model(store, store.read("ann"), "Likes cats.")
        before = list(store.rows("SELECT * FROM users"))
        assert store.add_events(entries) == Added(0, 5, 0)
        assert store.add_events([entries[0], entries[0]]) == Added(0, 2, 0)
        assert list(store.rows("SELECT * FROM users")) == before
        nameless = Event("", "message", "I like cats.", 3.0)
        assert store.add_events([Entry("ann", nameless)]) == Added(1, 0, 0)
        assert store.add_events([Entry("ann", nameless), Entry("bob", nameless)]) == Added(1, 1, 0)


def test_later_arrivals_are_put_in_their_place_in_time(path):
    with Store(path) as store:
        store.add_events([Entry("ann", choice(n, time), "", False) for n, time in ((1, 5.0), (2, 1.0), (3, 3.0))])
        assert [event.id for event in store.read("ann").history.events] == ["e2", "e3", "e1"]
        store.add_events([Entry("ann", choice(4), "", False)])
        assert [event.id for event in store.read("ann").history.events] == ["e1", "e2", "e3", "e4"]


def test_a_fixed_share_of_the_choices_is_never_read(path):
    with Store(path) as store:
        store.add_events(Entry("ann", choice(n)) for n in range(1000))
        held = {event.id for event in store.events("ann", held_out=True)}
        assert 150 < len(held) < 250
        assert not held & {event.id for event in store.read("ann").history.events}
        store.add_events(Entry("ann", replace(choice(n), id="", time=1.0)) for n in range(1000))
        assert {e.content for e in store.events("ann", True)}.isdisjoint(e.content for e in store.events("ann", False))
        store.add_events([Entry("bob", choice(n)) for n in range(50)], share=0)
        assert store.events("bob", held_out=True) == []
        store.add_events([Entry("eve", Event(f"m{n}", "message", "hi")) for n in range(50)])
        assert store.events("eve", held_out=True) == [], "only a choice can be predicted"


def test_a_failed_batch_leaves_nothing_and_a_failed_part_only_itself(path):
    def entries():
        yield Entry("ann", choice(1))
        raise OSError("the log ends here")

    with Store(path) as store:
        with pytest.raises(OSError, match="ends here"):
            store.add_events(entries())
        assert list(store.users()) == []
        with store.transaction() as connection:
            store.add_events([Entry("ann", choice(1))])
            with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012
                connection.execute("INSERT INTO users(user_id) VALUES ('half')")
                raise ZeroDivisionError
        assert list(store.users()) == ["ann"]
        with pytest.raises(ProfileError, match="no valid Unicode"):
            store.add_events([Entry("ann", choice(2)), Entry("ann", Event("bad", "message", "\ud800"))])
        assert len(store.events("ann")) == 1


def test_an_unknown_user_and_the_nearest_ids(path):
    with Store(path) as store:
        store.add_events([Entry(name, choice(1)) for name in ("anna", "anne", "bob")])
        with pytest.raises(UnknownUserError, match=r"no user 'annn'; did you mean ann[ae], ann[ae]"):
            store.user("annn")
        with pytest.raises(UnknownUserError, match="plus profile list shows"):
            store.user("zzzzzzzzzzzzz")
        assert store.summary("nobody") is None


def test_a_reader_sees_one_state_while_another_process_writes(path):
    with Store(path) as reader, Store(path) as writer:
        save_user(writer, "ann", "One.", 0)
        rows = reader.rows("SELECT text FROM versions")
        assert next(rows) == ("One.",)
        save_user(writer, "ann", "Two.", 1)
        assert list(rows) == [], "the statement goes on in the state that it began in"
        assert reader.summary("ann").text == "Two."


def test_only_its_owner_may_read_the_file(path):
    Store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def not_ours(folder: Path) -> dict[str, tuple[Path, str]]:
    """name -> (file, what is said)."""
    text, foreign, newer, damaged = (folder / name for name in ("text.db", "foreign.db", "newer.db", "damaged.db"))
    text.write_text("user_id,text\n")
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE photos(x)")
    other.commit(), other.close()
    Store(newer).close()
    other = sqlite3.connect(newer)
    other.execute(f"PRAGMA user_version = {schema.VERSION + 8}")
    other.commit(), other.close()
    with Store(damaged) as store:
        store.add_events(Entry(f"u{n}", Event(f"e{n}", "message", "x" * 500)) for n in range(500))
    too_new = f"written by a newer plus (schema {schema.VERSION + 8}, this one knows {schema.VERSION}); update plus"
    content = bytearray(damaged.read_bytes())
    content[4096:-4096] = os.urandom(len(content) - 8192)
    damaged.write_bytes(content)
    return {
        "text": (text, "is no profile store, it begins with b'user_id,'"),
        "foreign": (foreign, "a SQLite file of another program (tables: photos)"),
        "newer": (newer, too_new),
        "damaged": (damaged, "this store is damaged"),
        "folder": (folder, "is a folder"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["text", "foreign", "newer", "damaged", "folder"])
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(tmp_path, name):
    file, said = not_ours(tmp_path)[name]
    before = file.read_bytes() if file.is_file() else b""
    with pytest.raises(ProfileError) as caught, Store(file) as store:  # noqa: PT012
        list(store.users())
        store.events("u400")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    if file.is_file():
        assert file.read_bytes() == before


def test_no_store_is_made_by_looking(path):
    with pytest.raises(ProfileError, match="there is no profile store at"):
        Store(path, create=False)
    assert not path.exists()


def test_a_store_from_the_first_schema_is_brought_up_and_two_may_try(path, monkeypatch):
    with Store(path) as store:
        save_user(store, "ann", "One.", 0)
    monkeypatch.setattr(
        "plus.profiles.sqlite_file.MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE extra(x);\nCREATE TABLE more(y);\n")
    )
    monkeypatch.setattr("plus.profiles.sqlite_file.VERSION", schema.VERSION + 1)
    for _ in range(2):
        with Store(path) as store:
            assert store.summary("ann").text == "One."
            assert store.row("SELECT count(*) FROM more") == (0,)
            assert store.row("PRAGMA user_version") == (schema.VERSION + 1,)


AS_NOBODY = """
import os, sys
import plus.profiles.saving, plus.profiles.rows, plus.profiles.database  # While this user may still read them.
os.setgroups([]) if os.getuid() == 0 else None
os.setuid(65534) if os.getuid() == 0 else None
from plus.errors import ProfileError
from plus.profiles.saving import save_user
from plus.profiles.store import Store
with Store(sys.argv[1]) as store:
    print(store.summary("ann").text)
    try:
        save_user(store, "ann", "Two.", 1)
    except ProfileError as error:
        print(error)
"""


def test_a_store_that_cannot_be_written_is_read_and_says_so():
    """As another user where the tests run as root, whom no permission stops."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiles.db"
        with Store(path) as store:
            save_user(store, "ann", "One.", 0)
        path.chmod(0o444)
        path.parent.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", AS_NOBODY, path], env=ENVIRONMENT, capture_output=True, text=True)
        path.parent.chmod(0o755)
    lines = done.stdout.splitlines()
    assert lines[:1] == ["One."], done.stderr
    assert "this store cannot be written" in lines[1]
    assert "give another --store" in lines[1]


FULL = """
import resource, sys
from plus.errors import ProfileError
from plus.types import Entry
from plus.profiles.store import Store
from plus.types import Event
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
with Store(sys.argv[1]) as store:
    done = 0
    try:
        while True:
            entries = (Entry("ann", Event(f"e{done + n}", "message", "x" * 900)) for n in range(100))
            done += store.add_events(entries).added
    except ProfileError as error:
        print(done)
        print(error)
"""


def test_a_full_disk_loses_nothing_that_was_acknowledged(path):
    """A limit on the size of files stands in for the disk; profiles/test_disks.py fills a real one."""
    done = subprocess.run([sys.executable, "-c", FULL, path, "400000"], env=ENVIRONMENT, capture_output=True, text=True)
    count, said = done.stdout.splitlines()
    assert said.startswith(("the disk is full", "the disk would not take")), said
    assert int(count) > 100
    with Store(path) as store:
        assert len(store.events("ann")) == int(count)
        assert store.row("PRAGMA integrity_check") == ("ok",)
        store.add_events([Entry("ann", Event("more", "message", "x"))])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5)), max_size=30))
def test_any_order_and_repetition_gives_the_same_events(tmp_path_factory, log):
    with Store(tmp_path_factory.mktemp("s") / "profiles.db") as store:
        assert sum(store.add_events([Entry(user, choice(n))]).added for user, n in log) == len(set(log))
        assert {(u, e.id) for u in store.users() for e in store.events(u)} == {(u, f"e{n}") for u, n in log}


def test_a_tombstone_refuses_a_forgotten_user_by_name(path):
    with Store(path) as store:
        with store.transaction() as connection:
            connection.execute("INSERT INTO tombstones VALUES ('user', ?, 0)", (store.fingerprint("user", "ann"),))
        with pytest.raises(ForgottenError, match="plus forget --lift"):
            store.user("ann")
        assert store.add_events([Entry("ann", choice(1)), Entry("bob", choice(1))]) == Added(1, 0, 1)
    assert b"ann" not in path.read_bytes(), "the tombstone holds no name"


def test_a_store_that_another_process_is_making_is_no_foreign_file(tmp_path):
    """Sixteen threads open the same new file at once, again and again."""
    for number in range(20):
        path = tmp_path / f"{number}.db"
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(lambda _, path=path: Store(path).close(), range(16))) == [None] * 16
