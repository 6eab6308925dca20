"""A store copied to the other engine and back is the same, to the last hash; a copy that fails leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.stores import change

from plus import recipes
from plus.errors import ForgottenError, ProfileError
from plus.profiles import copying
from plus.profiles.copying import KEPT_OUT, TABLES, Digest, copy
from plus.profiles.decisions import forbid, lock, pause
from plus.profiles.doctor import examine
from plus.profiles.forget import forget_conversation, forget_user
from plus.profiles.saving import save_model, save_user, set_score
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference, Reaction, Turn

ODD = ["ann", "[bob]", "Ö\u0000ł 🎈", "x" * 5000]


def fill(store: Store) -> None:
    for n, user in enumerate(ODD):
        turns = (Turn("user", "Hello\u0000 you."), Turn("assistant", "Hi."))
        events = [
            Event("e1", "choice", Preference("p", f"c {user}", "r", turns), 1.5, "log"),
            Event("said-abc-1", "message", turns, None), Event("", "reaction", Reaction("p", "c", True), 3.0),
        ]  # fmt: skip
        store.add_events([Entry(user, event, f"talk-{n}") for event in events], share=0.5)
        save_model(store, store.read(user), "Likes cats. Talks of music.", "model \u0000", "run")
        version = save_user(store, user, f"Likes {user}. Talks of music.", 1, note="by hand")
        set_score(store, version, {"accuracy": 0.5})
    lock(store, "ann", store.current("ann").sentences[0])
    forbid(store, "ann", "Eats fish.")
    pause(store, "[bob]")
    store.add_events([Entry("gone", Event("e", "message", "Bye."), "talk-9")])
    forget_user(store, "gone")
    forget_conversation(store, "talk-2")


def content(store: Store) -> dict[str, tuple[int, str]]:
    found = {}
    for table in TABLES:
        digest = Digest()
        list(copying._rows(store, table, digest))
        found[table] = digest.rows, str(digest)
    return found


@pytest.fixture
def other(engine, request, tmp_path):
    """A place on the other engine."""
    if engine == "postgres":
        return tmp_path / "other.db"
    return request.getfixturevalue("schemas")("other")


def test_there_and_back_is_equal(path, other, place):
    with Store(path) as store:
        fill(store)
        before = content(store)
        assert before["events"][0] == 9 and before["tombstones"][0] > 4
    there, back = recipes.copy_store(path, other), recipes.copy_store(other, place("back"))
    assert there.counts == back.counts == {table: rows for table, (rows, _) in before.items()}
    assert there.sha256 == back.sha256 == {table: total for table, (_, total) in before.items()}
    for where in (other, place("back")):
        with Store(where, create=False) as copied:
            assert content(copied) == before and examine(copied).faults == []
            assert copied.rules("ann").forbid == ("Eats fish.",) and copied.user("[bob]").paused
            with pytest.raises(ForgottenError):
                save_user(copied, "gone", "Back.", 0)
            again = next(event for event in copied.events("ann") if event.kind == "reaction")
            assert copied.add_events([Entry("ann", again, "talk-0")]).known == 1
            assert save_user(copied, "new", "Is new.", 0).version == 1, "numbers go on after those that came"


def test_what_is_forgotten_in_a_copy_is_forgotten_there_alone(path, other):
    with Store(path) as store:
        fill(store)
    recipes.copy_store(path, other)
    with Store(other) as copied:
        assert forget_user(copied, "ann").found == []
    with Store(path) as store:
        assert store.current("ann").text


@pytest.mark.parametrize("damage", ["a text", "a row"])
def test_a_planted_difference_is_seen_and_nothing_is_kept(path, other, monkeypatch, damage):
    with Store(path) as store:
        fill(store)

    def wrong(target: Store) -> None:
        number = target.user("ann").number
        if damage == "a text":
            change(target, "UPDATE versions SET text = ? WHERE user = ?", "Likes dogs.", number)
        else:
            change(target, "DELETE FROM rules WHERE user = ?", number)

    with Store(path) as store, Store(other) as target:
        monkeypatch.setattr(target.file, "number_on", lambda: wrong(target))
        with pytest.raises(ProfileError, match=r"the table (versions|rules) of .* nothing was kept of the copy"):
            copy(store, target)
        assert {rows for rows, _ in content(target).values()} == {0} and not target.file.ledger.exists()
        monkeypatch.undo()


def test_nothing_is_overwritten_or_mixed(path, other):
    with Store(path) as store:
        fill(store)
    with Store(other) as target:
        save_user(target, "zoe", "Is here.", 0)
    with pytest.raises(ProfileError, match="nothing is overwritten"):
        recipes.copy_store(path, other)
    with pytest.raises(ProfileError, match=r"onto itself|nothing is overwritten"):
        recipes.copy_store(path, path)
    with Store(other) as target:
        assert list(target.users()) == ["zoe"]


def test_a_copy_has_every_column(path, engine):
    """A column that somebody adds is copied, or this test says so."""
    with Store(path) as store:
        if engine == "sqlite":
            names = [name for (name,) in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
            there = {table: {row[1] for row in store.rows(f"PRAGMA table_info({table})")} for table in names}
            there.pop("sqlite_sequence")
        else:
            query = (
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
            )
            there: dict[str, set[str]] = {}
            for table, column in store.rows(query):
                there.setdefault(table, set()).add(column)
        copied = {table: {*columns.split(", "), *store.sql.derived.get(table, {})} for table, columns in TABLES.items()}
    assert {table: columns for table, columns in there.items() if table not in KEPT_OUT} == copied


def test_the_verb_prints_what_was_copied(path, other, plus_here):
    with Store(path) as store:
        fill(store)
    status, out, err = plus_here("store", "copy", path, other)
    assert (status, err) == (0, "") and "4 users, 9 events, 7 versions" in out and "read again, the same" in out
    status, out, err = plus_here("store", "copy", path, other)
    assert status == 2 and "nothing is overwritten" in err and len(err.splitlines()) == 1
    assert not list(Path(path).parent.glob(".*partial*")) if isinstance(path, Path) else True
