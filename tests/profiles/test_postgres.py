"""A store on a database server: what stands there is sealed, what goes away is told in one line, nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.stores import change

from plus import recipes
from plus.errors import ConflictError, DiskError, ForgottenError, MissingExtraError, ProfileError
from plus.profiles.address import is_address, without_password
from plus.profiles.decisions import forbid
from plus.profiles.doctor import examine
from plus.profiles.engine import connect
from plus.profiles.export import export
from plus.profiles.forget import finish_interrupted, forget_conversation, forget_user
from plus.profiles.saving import save_model, save_user
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference

psycopg = pytest.importorskip("psycopg")
Gone = pytest.importorskip("plus.profiles.sealing").Gone
postgres_schema = pytest.importorskip("plus.profiles.postgres_schema")
PHRASE = "xylophones at midnight"
KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
)


@pytest.fixture
def address(schemas) -> str:
    return schemas("own")


@pytest.fixture
def store(address):
    with Store(address) as store:
        store.add_events(
            [Entry("ann-a", Event("ann-e1", "choice", Preference("p", PHRASE, "r"), 1.0, "a.log"), "talk-a")]
        )
        save_model(store, store.read("ann-a"), f"Likes {PHRASE}. Short answers.", PHRASE, PHRASE)
        save_user(store, "ann-a", f"Likes {PHRASE}.", 1, note=PHRASE)
        forbid(store, "ann-a", f"Hates {PHRASE}.")
        save_user(store, "bob", "Likes dogs.", 0)
        yield store


def everything(address: str) -> str:
    """All rows of all tables as the server has them, bytes as hexadecimal digits."""
    with psycopg.connect(connect(address).address) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        rows = [row for (table,) in tables for row in connection.execute(f"SELECT t::text FROM {table} t").fetchall()]
    return "\n".join(text for (text,) in rows)


def test_the_server_holds_no_text_and_no_id_of_anybody(store, address):
    found = everything(address)
    assert len(found) > 1000
    for text in (PHRASE, "ann-a", "ann-e1", "talk-a", "a.log", "Short answers", "bob"):
        assert text not in found and text.encode().hex() not in found, text


def test_a_planted_text_in_the_clear_is_seen(store, address):
    change(store, "INSERT INTO runs(folder, run, model) VALUES (?, '', '')", f"/runs/{PHRASE}")
    assert PHRASE in everything(address)


def test_equal_texts_are_equal_bytes_for_one_user_and_differ_between_two(store):
    save_user(store, "bob", f"Likes {PHRASE}.", 1)
    save_user(store, "ann-a", "Other.", 2)
    save_user(store, "ann-a", f"Likes {PHRASE}.", 3)
    query = 'SELECT "user", text FROM versions WHERE version > 1 ORDER BY number'
    (ann, one), (_, two), (_, _), (_, three) = store.file.rows(query, unsealed=False)
    assert one == three != two and int.from_bytes(one[:8], "big") == ann


def test_forgetting_destroys_the_key_and_an_old_copy_of_the_tables_is_not_readable(store, address, tmp_path):
    number = store.user("ann-a").number
    old = list(store.file.rows('SELECT text FROM versions WHERE "user" = 1', unsealed=False))
    assert PHRASE in store.file.seal.opened(old[0][0])
    key = store.file.keys.key(number)
    receipt = forget_user(store, "ann-a")
    assert receipt.rewritten and receipt.found == [] and "the key of this user was destroyed" in receipt.kept
    assert key not in store.file.keys.path.read_bytes()
    with pytest.raises(Gone):
        store.file.seal.opened(old[0][0])
    assert (store.file.keys.path.stat().st_mode & 0o777, store.file.ledger.stat().st_mode & 0o777) == (0o600, 0o600)
    with pytest.raises(ForgottenError):
        save_user(store, "ann-a", "Back.", 0)


def test_what_a_conversation_leaves_is_said(store):
    kept = forget_conversation(store, "talk-a").kept
    assert "the server's log and backups from before hold them until they are replaced" in kept


def test_a_forget_cut_short_before_the_key_went_is_completed_by_the_doctor(store, monkeypatch):
    number = store.user("ann-a").number
    with monkeypatch.context() as patch:
        patch.setattr(type(store.file.keys), "destroy", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget_user(store, "ann-a")
    assert len(store.file.keys.key(number)) == 32 and store.find("ann-a") is None
    assert "a forget was interrupted; plus doctor completes it" in examine(store, finish=False).faults
    found = examine(store)
    assert found.faults == [] and len(found.receipts) == 1
    assert set(store.file.keys.key(number)) == {255}


@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="no pg_dump")
def test_a_backup_put_back_does_not_bring_the_forgotten_back(store, database, address, tmp_path):
    schema = address.rpartition("%3D")[2]
    dump = subprocess.run(["pg_dump", database, f"--schema={schema}"], capture_output=True, check=True).stdout
    forget_user(store, "ann-a")
    store.close()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
    subprocess.run(["psql", "-q", database], input=dump, capture_output=True, check=True)
    ledger, said = store.file.ledger, list[str]()
    away = ledger.rename(tmp_path / "away")
    with Store(address) as without:
        assert list(without.users()) == ["bob"], "without the ledger the key is gone all the same"
        out = export(without, "jsonl", tmp_path / "out.jsonl")
        assert out.users == 1
    away.rename(ledger)
    with Store(address, tell=said.append) as put_back:
        assert said == ["1 forgotten users were there again and were taken out; plus doctor cleans the file"]
        finish_interrupted(put_back)
        assert put_back.number("SELECT count(*) FROM users") == 1 and examine(put_back).faults == []


def test_an_older_copy_of_the_keys_is_told_and_nothing_is_left_out_silently(store, address, tmp_path):
    keys = store.file.keys.path
    older = keys.read_bytes()
    save_user(store, "new", "Came later.", 0)
    store.close()
    keys.write_bytes(older)
    with Store(address) as again:
        with pytest.raises(ProfileError, match=r"its key is not in .* put back the newest copy") as caught:
            export(again, "jsonl", tmp_path / "out.jsonl")
        assert "\n" not in str(caught.value) and not (tmp_path / "out.jsonl").exists()
        assert any("1 users have no key" in fault for fault in examine(again).faults)
    keys.unlink()
    with pytest.raises(ProfileError, match=r"the keys of this store cannot be opened: .* set PLUS_KEYS"):
        Store(address)


# The server goes away


def test_a_server_that_goes_away_in_a_transaction_is_one_line_and_nothing_is_lost(store):
    with pytest.raises(DiskError) as caught, store.transaction():  # noqa: PT012
        save_user(store, "bob", "Likes cats.", 1)
        with psycopg.connect(store.file.address) as other:
            other.execute(KILL)
        store.find("bob")
    said = str(caught.value)
    assert caught.value.status == 2 and "\n" not in said and said.startswith("the database server does not answer: ")
    assert "what was being written is not in it, what was written before is; try again when it does" in said
    assert store.current("bob").text == "Likes dogs.", "the same store goes on with another connection"
    assert save_user(store, "bob", "Likes cats.", 1).version == 2


def test_a_server_that_goes_away_while_it_commits_leaves_no_promise(store, monkeypatch):
    def killed():
        with psycopg.connect(store.file.address) as other:
            other.execute(KILL)

    with monkeypatch.context() as patch:
        patch.setattr(store.file.keys, "sync", killed)
        with pytest.raises(DiskError, match="whether what was being written is in it is not known"):
            save_user(store, "bob", "Likes cats.", 1)
    assert store.current("bob").text == "Likes dogs."


def test_a_server_that_is_not_there_and_a_wrong_address_tell_no_password(plus_here, monkeypatch):
    word = "s3cret-w0rd"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    for address in (
        f"postgresql://plus:{word}@127.0.0.1:1/x", f"postgresql://plus@127.0.0.1:1/x?password={word}",
        f"postgresql://plus:{word}@@127.0.0.1:1/x", f"postgresql://plus:%zz{word}@127.0.0.1/x",
        f"postgresql://plus:{word}@127.0.0.1/x?nonsense=1", f"postgres:/plus:{word}@127.0.0.1/x",
    ):  # fmt: skip
        status, out, err = plus_here("profile", "list", "--store", address)
        assert (status, out) == (2, "") and word not in err and len(err.strip().splitlines()) == 1, err
    assert (
        without_password(f"postgresql://plus:{word}@host:5/x?a=1&password={word}") == "postgresql://plus@host:5/x?a=1"
    )
    assert is_address("postgresql://host/x") and not is_address("profiles.db") and not is_address(Path("a/postgresql"))


def test_a_server_that_takes_no_writes_is_read_and_says_so(store, address):
    with Store(f"{address}%20-cdefault_transaction_read_only%3Don") as reading:
        assert not reading.writable and reading.current("bob").text == "Likes dogs."
        with pytest.raises(ProfileError, match="this store cannot be written"):
            save_user(reading, "bob", "Likes cats.", 1)
    assert store.current("bob").text == "Likes dogs."


# Several at once


def test_an_edit_of_a_user_waits_for_another_and_is_then_a_conflict(store, address):
    done: list[object] = []

    def edit() -> None:
        with Store(address) as other:
            try:
                done.append(save_user(other, "bob", "Likes fish.", 1))
            except ConflictError as error:
                done.append(error)

    thread = threading.Thread(target=edit)
    with store.transaction():
        save_user(store, "bob", "Likes cats.", 1)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and done == [], "it waits for the row"
        with Store(address) as third:
            assert save_user(third, "ann-a", "Somebody else's.", 2).version == 3, "others wait for nobody"
    thread.join(30)
    assert isinstance(done[0], ConflictError) and store.current("bob").text == "Likes cats."


def test_who_is_forgotten_while_others_write_of_many_does_not_come_back(store, address):
    """The log of another process was read before, and is written after."""
    names = [f"u{n}" for n in range(20)]

    def entries():
        for n, name in enumerate(names):
            yield Entry(name, Event(f"e{n}", "message", "Hello."))

    started, thread = threading.Event(), None

    def write() -> None:
        with Store(address) as other:
            started.set()
            other.add_events(entries())

    save_user(store, "u7", "Is here.", 0)
    with store.transaction():
        store.hold(["u7"])
        thread = threading.Thread(target=write)
        thread.start()
        started.wait(30)
    forget_user(store, "u7")
    thread.join(30)
    assert store.find("u7") is None


def test_the_change_counter_tells_of_the_writes_of_others(store, address):
    with Store(address) as other:
        first = other.change_counter()
        save_user(store, "bob", "Likes cats.", 1)
        assert other.change_counter() != first


def test_a_receipt_names_the_programs_with_a_connection(store, address):
    code = "import sys; from plus.profiles.store import Store; s = Store(sys.argv[1]); print('on', flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None and other.stdout.readline() == b"on\n"
        named = forget_user(store, "ann-a").programs
        other.communicate(b"\n")
    assert [name for name in named if f"plus (process {other.pid} on " in name], named


# Not ours, not there, not installed


def test_a_newer_schema_another_programs_tables_and_no_store_are_refused(store, address, schemas):
    change(store, "UPDATE meta SET value = ? WHERE key = 'schema'", postgres_schema.VERSION + 8)
    newer = f"written by a newer plus .schema {postgres_schema.VERSION + 8}, this one knows {postgres_schema.VERSION}"
    with pytest.raises(ProfileError, match=newer):
        Store(address)
    other = schemas("photos")
    with psycopg.connect(connect(schemas("any")).address.replace("_any", "_photos"), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {other.rpartition('%3D')[2]}")
        connection.execute("CREATE TABLE photos(x int)")
    with pytest.raises(ProfileError, match=r"is another program's \(tables: photos\)"):
        Store(other)
    with pytest.raises(ProfileError, match="there is no profile store at"):
        Store(schemas("none"), create=False)


def test_a_store_of_the_first_schema_is_brought_up_and_two_may_try(store, address, monkeypatch):
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", (*postgres_schema.MIGRATIONS, "CREATE TABLE extra(x int)"))
    monkeypatch.setattr(postgres_schema, "VERSION", postgres_schema.VERSION + 1)
    for _ in range(2):
        with Store(address) as again:
            assert again.current("bob").text == "Likes dogs." and again.number("SELECT count(*) FROM extra") == 0


def test_many_may_make_a_store_at_once(schemas):
    address, failed = schemas("new"), []

    def make() -> None:
        try:
            Store(address).close()
        except ProfileError as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


def test_backups_are_the_servers_and_a_missing_extra_is_named(store, address, tmp_path, monkeypatch):
    with pytest.raises(ProfileError, match=r"pg_dump --schema and psql.*PLUS_KEYS"):
        recipes.backup(store, tmp_path / "b.db")
    with pytest.raises(ProfileError, match="pg_dump --schema and psql"):
        recipes.restore(tmp_path / "b.db", address)
    monkeypatch.delitem(sys.modules, "plus.profiles.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'plus-preferences\[postgres\]'"):
        Store(address)


def test_a_text_of_any_characters_comes_back(store):
    odd = "NUL \u0000 and \ud83c\udf88".encode("utf-16", "surrogatepass").decode("utf-16") + " " + "long " * 50_000
    save_user(store, f"id {odd[:3000]}", odd, 0)
    assert store.current(f"id {odd[:3000]}").text == odd
    store.add_events([Entry("bob", Event(odd, "message", odd, None, odd), odd)])
    assert store.events("bob")[0].content == odd and store.events("bob")[0].id == odd
    assert store.add_events([Entry("bob", Event(odd, "message", odd, None, odd), odd)]).known == 1
