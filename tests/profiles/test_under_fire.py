"""The store while processes are killed and fight for it: nothing acknowledged is lost, nothing forgotten returns."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from support.profile_worker import token
from support.running import ENVIRONMENT, SUPPORT
from support.stores import change

from plus.profiles.forget import finish_interrupted
from plus.profiles.saving import save_user
from plus.profiles.sentences import split
from plus.profiles.store import Store
from plus.profiles.upkeep import upkeep
from plus.types import Entry, Event

WORKER = SUPPORT / "profile_worker.py"


def start(
    store: str | Path, log: Path, seed: int, seconds: float, users: list[str], kinds: str, exports: Path | str = ""
):
    command = [sys.executable, str(WORKER), *map(str, (store, log, seed, seconds, ",".join(users), kinds, exports))]
    return subprocess.Popen(
        command, env={**ENVIRONMENT, **keys()}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def keys() -> dict[str, str]:
    """Where the keys of a store on a server are in this test."""
    return {name: value for name, value in os.environ.items() if name == "PLUS_KEYS"}


def logged(*logs: Path) -> list[dict]:
    """Acknowledged operations; the last line of a killed process may be cut."""
    lines = [line for log in logs if log.exists() for line in log.read_text().split("\n")]
    return [json.loads(line) for line in lines if line.endswith("}")]


def whole(store: Store) -> None:
    """The file or the server is sound, and every version is complete."""
    assert upkeep(store.file).check()[0] == []
    for user_id in store.users():
        history = store.history(user_id)
        for version in history:
            assert [(s.start, s.end) for s in version.sentences] == split(version.text)
        current = store.user(user_id).current
        assert current == 0 or current == history[-1].version


def kept(store: Store, rows: list[dict], gone: set[str]) -> tuple[int, int]:
    """Every acknowledged event and edit of a user who was not forgotten is there; returns how many of each."""
    events: dict[str, set[str]] = defaultdict(set)
    sentences: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.get("user") in gone:
            continue
        if row.get("done") == "ingest":
            events[row["user"]] |= set(row["events"])
        elif row.get("done") == "edit":
            sentences[row["user"]].append(row["sentence"])
    for user, names in events.items():
        there = {name for (name,) in store.rows(store.sql.event_ids, (store.user(user).number,))}
        assert names <= there, (user, names - there)
    for user, said in sentences.items():
        text = store.current(user).text
        assert not [sentence for sentence in said if sentence not in text], user
    return sum(map(len, events.values())), sum(map(len, sentences.values()))


def found_on_disk(folder: Path, users: set[str]) -> list[tuple[str, str]]:
    """(file, user) for each file under `folder`, logs of this test aside, that holds a user's token."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"]
    return [(path.name, user) for path in files for user in users if token(user).encode() in path.read_bytes()]


def killed_at_random(store_path: str | Path, folder: Path, kills: int) -> dict[str, int]:
    run, exports = folder / "run", folder / "exports"
    run.mkdir(), exports.mkdir()
    (run / "config.json").write_text("{}")
    rng, rows, gone, finished = random.Random(1), [], set(), 0
    for number in range(kills):
        users = [f"u{number // 10}n{n}" for n in range(12)]  # New people come, and ten rounds share them.
        with Store(store_path) as store:
            store.add_run(run, "hash", "run")
        with (run / "summaries.jsonl").open("a") as file:
            file.writelines(
                json.dumps({"user_id": user, "summary": token(user)}) + "\n" for user in users if user not in gone
            )
        log = folder / f"{number}.log"
        worker = start(store_path, log, number, 60, users, "ingest,ingest,edit,edit,export,forget", exports)
        assert worker.stdout.readline().startswith("ready"), worker.stderr.read()
        time.sleep(rng.random() ** 2 * 0.6)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert "Error" not in worker.stderr.read()
        mine = logged(log)
        rows += mine
        with Store(store_path) as store:
            whole(store)
            begun = {row["user"] for row in mine if row.get("begin") == "forget"}
            done = {row["user"] for row in mine if row.get("done") == "forget"}
            for user in begun:  # Before or after, never between.
                if store.is_forgotten("user", user):
                    gone.add(user)
                    assert store.find(user) is None
                else:
                    assert user not in done
            finished += len(finish_interrupted(store))
            kept(store, rows, gone)
        for row in mine:  # An export that was acknowledged is complete; it is the user's to delete.
            if row.get("done") == "export":
                lines = (exports / row["file"]).read_bytes().split(b"\n")
                assert lines.pop() == b""
                assert all(json.loads(line)["user_id"] for line in lines)
        assert not list(exports.glob(".*")), "a killed export left its partial file"
        for path in exports.iterdir():
            path.unlink()
        assert found_on_disk(folder, gone) == []
    with Store(store_path) as store:
        events, edits = kept(store, rows, gone)
    return {"kills": kills, "events": events, "edits": edits, "forgotten": len(gone), "finished later": finished}


def test_a_killed_process_loses_nothing_and_brings_nothing_back(path, tmp_path):
    found = killed_at_random(path, tmp_path, 5)
    assert found["events"] > 10, "too few acknowledged events to lose"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_hundred_kills(path, tmp_path, capsys):
    found = killed_at_random(path, tmp_path, 200)
    with capsys.disabled():
        print(found)
    assert found["forgotten"] > 20
    assert found["finished later"] > 0, "no kill met a forget between its two halves"


def fight(store_path: str | Path, folder: Path, seconds: float, processes: int = 8) -> dict[str, int]:
    shared = [f"shared{n}" for n in range(40)]
    victims = [f"victim{n}" for n in range(int(seconds * 2) + 4)]
    logs = [folder / f"{n}.log" for n in range(processes)]
    mostly = "ingest,edit,edit,summarize"
    workers = [start(store_path, log, n, seconds, shared + victims, mostly) for n, log in enumerate(logs[:-2])]
    # Two processes forget, one of them among people that the others are writing about.
    workers += [
        start(store_path, log, 100 + n, seconds, victims, f"{mostly},forget,forget,forget")
        for n, log in enumerate(logs[-2:])
    ]
    errors = [worker.communicate(timeout=seconds + 200)[1] for worker in workers]
    assert [error for error in errors if error] == []
    rows = logged(*logs)
    acknowledged = {row["user"] for row in rows if row.get("done") == "forget"}
    begun = {row["user"] for row in rows if row.get("begin") == "forget"}
    with Store(store_path) as store:
        whole(store)
        # Where two forget the same user at once, one of them is told so, and nothing is acknowledged twice.
        gone = {user for user in begun if store.is_forgotten("user", user)}
        assert acknowledged <= gone
        events, edits = kept(store, rows, gone)
        for user in gone:
            assert store.is_forgotten("user", user)
            assert store.find(user) is None
    assert found_on_disk(folder, gone) == []
    return {"processes": processes, "seconds": int(seconds), "events": events, "edits": edits, "forgotten": len(gone)}


def test_eight_processes_at_once(path, tmp_path):
    found = fight(path, tmp_path, 2)
    assert found["edits"] > 5
    assert found["forgotten"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_eight_processes_for_a_minute(path, tmp_path, capsys):
    found = fight(path, tmp_path, 60)
    with capsys.disabled():
        print(found)
    assert found["forgotten"] >= 5


def test_these_checks_catch_a_lost_event_a_half_version_and_a_returned_text(path, tmp_path):
    """Planted faults: what the tests above look for is really seen."""
    with Store(path) as store:
        save_user(store, "u0", f"{token('u0')} one. Two.", 0)
        with pytest.raises(AssertionError):
            kept(store, [{"done": "edit", "user": "u0", "sentence": "three."}], set())
        with pytest.raises(AssertionError):
            kept(store, [{"done": "ingest", "user": "u0", "events": ["e1"]}], set())
        change(store, "UPDATE versions SET text = ? WHERE user = ?", "Half", store.user("u0").number)
        with pytest.raises(AssertionError):
            whole(store)
    (tmp_path / "leftover.jsonl").write_text(token("u9"))
    assert found_on_disk(tmp_path, {"u9"}) == [("leftover.jsonl", "u9")]
    assert os.environ.get("PLUS_STORE") is None, "no test may touch a person's own store"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_eight_processes_of_five_hundred_edits_and_updates_lose_none(path, tmp_path, capsys):
    """Each of them edits and updates ten people whom all of them share."""
    users, steps, processes = [f"shared{n}" for n in range(10)], 500, 8
    logs = [tmp_path / f"{n}.log" for n in range(processes)]
    with Store(path) as store:
        store.add_events(Entry(user, Event(f"{user}-0", "message", "Hello.")) for user in users)
    workers = [start(path, log, n, steps, users, "steps") for n, log in enumerate(logs)]
    errors = [worker.communicate(timeout=1400)[1] for worker in workers]
    assert [error for error in errors if error] == []
    rows = logged(*logs)
    edits = [(row["user"], row["sentence"]) for row in rows if row["done"] == "edit"]
    updates = [(row["user"], row["version"]) for row in rows if row["done"] == "summarize"]
    assert len(edits) + len(updates) == steps * processes
    with Store(path) as store:
        whole(store)
        history = {user: store.history(user) for user in users}
        numbers = [(user, version.version) for user, versions in history.items() for version in versions]
        assert len(numbers) == len(set(numbers)) and set(updates) <= set(numbers)
        assert not [(user, said) for user, said in edits if said not in history[user][-1].text], "a lost edit"
        assert all([v.version for v in versions] == list(range(1, len(versions) + 1)) for versions in history.values())
    with capsys.disabled():
        print({"edits": len(edits), "updates": len(updates), "versions": len(numbers)})
