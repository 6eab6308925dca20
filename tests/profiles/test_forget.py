"""Forgetting: nothing is left on disk, nothing comes back, and the receipt says so."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from plus.errors import ForgottenError, ProfileError, UnknownUserError
from plus.profiles import forget as forgetting
from plus.profiles.decisions import forbid
from plus.profiles.export import export
from plus.profiles.forget import finish_interrupted, forget_conversation, forget_user, forget_users, lift, planned
from plus.profiles.saving import save_model, save_user, set_rule
from plus.profiles.store import Store
from plus.profiles.upkeep import upkeep
from plus.types import Entry, Event, Preference

SECRET = "xylophones at midnight"


def event(user: str, number: int, text: str = "") -> Event:
    return Event(
        f"{user}-event-{number}",
        "choice",
        Preference("Tell me.", text or f"I saw {user} cats {number}.", "No."),
        float(number),
    )


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "run"
    (folder / "summarizer").mkdir(parents=True)
    (folder / "reward_model").mkdir()
    (folder / "config.json").write_text('{"seed": 0}')
    rows = [
        {"user_id": user, "summary": f"The user likes {what}."} for user, what in (("ann-a", SECRET), ("bob-b", "cats"))
    ]
    (folder / "summaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "samples.jsonl").write_text(
        "".join(json.dumps({**row, "step": n}) + "\n" for n in range(3) for row in rows)
    )
    (folder / "report.json").write_text(json.dumps({"accuracy": {"plus": 1.0}, "examples": rows}))
    return folder


@pytest.fixture
def store(path, run):
    with Store(path) as store:
        store.add_run(run, "hash", "run")
        for user in ("ann-a", "bob-b"):
            store.add_events([Entry(user, event(user, n), f"{user}-talk-{n % 2}", False) for n in range(4)])
            save_model(store, store.read(user), f"Likes {user} cats. Talks of music.")
        store.add_events([Entry("ann-a", event("ann-a", 9, SECRET), "ann-a-talk-9", False)])
        save_user(store, "ann-a", f"Likes {SECRET}. Talks of music.", 1)
        yield store


def hits(folder: Path, text: str) -> str:
    """What `grep -c` counts, over everything under a folder."""
    return subprocess.run(["grep", "-rca", text, folder], capture_output=True, text=True).stdout


def none(counts: str) -> bool:
    return bool(counts) and all(line.endswith(":0") for line in counts.splitlines())


@pytest.mark.on_disk
def test_grep_finds_nothing_in_store_log_and_run_folder(store, run, tmp_path):
    assert not none(hits(tmp_path, SECRET)), "it is there before"
    receipt = forget_user(store, "ann-a")
    for text in (SECRET, "ann-a", "xylophones"):
        assert none(hits(tmp_path, text)), hits(tmp_path, text)
    assert receipt.removed == {"events": 5, "versions": 2, "rules": 1, "users": 1}
    assert receipt.runs == {str(run): {"report.json": 1, "samples.jsonl": 3, "summaries.jsonl": 1}}
    assert receipt.retrain == [str(run / "summarizer"), str(run / "reward_model")]
    assert receipt.rewritten
    assert receipt.found == []
    assert receipt.searched["texts"] > 10
    assert len(store.history("bob-b")) == 1
    assert [json.loads(line)["user_id"] for line in (run / "summaries.jsonl").read_text().splitlines()] == ["bob-b"]
    (note,) = map(json.loads, (run / "forgotten.jsonl").read_text().splitlines())
    assert note["forgotten"] == store.fingerprint("user", "ann-a")


def test_the_receipt_is_hashed_and_names_nobody(store):
    receipt = forget_user(store, "ann-a").as_dict()
    again = forgetting.Receipt(**{key: value for key, value in receipt.items() if key != "sha256"})
    assert again.as_dict()["sha256"] == receipt["sha256"]
    again.removed["events"] -= 1
    assert again.as_dict()["sha256"] != receipt["sha256"]
    text = json.dumps({**receipt, "runs": {}, "retrain": [], "exports": []})
    assert "ann-a" not in text and SECRET not in text


def test_a_text_that_somebody_else_has_too_is_theirs(store, path):
    save_user(store, "bob-b", f"Likes {SECRET}.", 1)
    receipt = forget_user(store, "ann-a")
    assert receipt.found == []
    assert receipt.shared == ([str(path)] if isinstance(path, Path) else []), "a server's bytes cannot be searched"
    assert store.current("bob-b").text == f"Likes {SECRET}."


def test_a_residue_would_be_found(store, run):
    """Planted: a line without an owner in the run folder still holds the text."""
    (run / "metrics.jsonl").write_text(json.dumps({"step": 1, "last": SECRET}) + "\n")
    receipt = forget_user(store, "ann-a")
    assert receipt.found == [str(run / "metrics.jsonl")]


def test_forgetting_twice_or_with_another_run_folder_only_cleans(store, tmp_path):
    forget_user(store, "ann-a")
    other = tmp_path / "older run"
    other.mkdir()
    (other / "config.json").write_text("{}")
    (other / "summaries.jsonl").write_text(json.dumps({"user_id": "ann-a", "summary": SECRET}) + "\n")
    receipt = forget_user(store, "ann-a", [other])
    assert receipt.removed == {}
    assert receipt.runs == {str(other): {"summaries.jsonl": 1}}
    with pytest.raises(UnknownUserError, match="did you mean bob-b"):
        forget_user(store, "bob-c")
    with pytest.raises(UnknownUserError, match="no event of a conversation"):
        forget_conversation(store, "nothing")


def test_a_forget_killed_before_its_commit_is_completed_in_run_folders_too(store, run, path, monkeypatch):
    """The ledger has it already, so whoever was asked to go is taken out when the store is opened next."""
    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "begin", lambda *_: 1 / 0)
        patch.setattr(forgetting.ledger, "undone", lambda path: nullcontext())
        with pytest.raises(ZeroDivisionError):
            forget_user(store, "ann-a")
    assert store.find("ann-a") is not None
    with Store(path) as again:
        assert list(again.users()) == ["bob-b"]
        (receipt,) = finish_interrupted(again)
        assert receipt.runs == {str(run): {"report.json": 1, "samples.jsonl": 3, "summaries.jsonl": 1}}


def test_a_forget_killed_before_its_commit_is_completed_for_a_user_of_a_run_folder_alone(store, run, path, monkeypatch):
    with (run / "summaries.jsonl").open("a") as file:
        file.write(json.dumps({"user_id": "cay-c", "summary": "Likes tea."}) + "\n")
    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "begin", lambda *_: 1 / 0)
        patch.setattr(forgetting.ledger, "undone", lambda path: nullcontext())
        with pytest.raises(ZeroDivisionError):
            forget_user(store, "cay-c")
    with Store(path) as again:
        (receipt,) = finish_interrupted(again)
        assert receipt.runs == {str(run): {"summaries.jsonl": 1}}
        assert again.is_forgotten("user", "cay-c") and "cay-c" not in (run / "summaries.jsonl").read_text()


@pytest.mark.parametrize("point", ["run_folders.forget", "_clean", "upkeep", "search"])
def test_a_forget_that_was_cut_short_is_completed_later(store, run, tmp_path, monkeypatch, point):
    with monkeypatch.context() as patch:
        module, _, name = point.rpartition(".")

        def cut(*args, **kwargs):
            raise KeyboardInterrupt

        patch.setattr(getattr(forgetting, module) if module else forgetting, name, cut)
        with pytest.raises(KeyboardInterrupt):
            forget_user(store, "ann-a")
    assert "ann-a" not in list(store.users()), "gone at once, whatever is still to be cleaned"
    finish_interrupted(store)
    for text in (SECRET, "ann-a"):
        assert none(hits(tmp_path, text)), hits(tmp_path, text)
    assert list(store.rows("SELECT * FROM unfinished")) == []


def test_another_store_in_a_run_folder_is_named(store, run):
    Store(run / "profiles.db").close()
    assert forget_user(store, "ann-a").other_stores == [str(run / "profiles.db")]


def test_exports_that_may_hold_the_user_are_named(store, tmp_path):
    export(store, "jsonl", tmp_path / "all.jsonl")
    export(store, "jsonl", tmp_path / "bob.jsonl", ["bob-b"])
    export(store, "jsonl", tmp_path / "gone.jsonl")
    (tmp_path / "gone.jsonl").unlink()
    receipt = forget_user(store, "ann-a")
    assert receipt.exports == [str(tmp_path / "all.jsonl")]
    assert SECRET in (tmp_path / "all.jsonl").read_text(), "what was handed out is not ours to change"


def test_a_conversation_goes_with_every_sentence_written_from_it(store, run, tmp_path):
    store.add_events([Entry("bob-b", event("bob-b", 5, SECRET), "bob-b-talk-5", False)])
    save_model(store, store.read("bob-b"), f"Likes bob-b cats. Talks of music. Likes {SECRET}.")
    save_user(store, "bob-b", f"Likes bob-b cats. Talks of music. Likes {SECRET}. Short answers.", 2)
    set_rule(store, "bob-b", "lock", f"Likes {SECRET}.")
    forget_user(store, "ann-a")
    receipt = forget_conversation(store, "bob-b-talk-5")
    assert (receipt.removed["events"], receipt.removed["versions"], receipt.rebuilt) == (1, 2, 1)
    current = store.current("bob-b")
    assert current.text == "Likes bob-b cats. Talks of music. Short answers."
    assert [(s.id, s.origin, s.since) for s in current.sentences] == [
        ("s1", "model", 1),
        ("s2", "model", 1),
        ("s4", "user", 3),
    ]
    assert [version.version for version in store.history("bob-b")] == [1, 4]
    assert store.rules("bob-b").lock == ()
    for text in (SECRET, "bob-b-talk-5", "bob-b-event-5"):
        assert none(hits(tmp_path, text)), hits(tmp_path, text)
    assert store.add_events([Entry("bob-b", event("bob-b", 5, SECRET), "bob-b-talk-5")]).refused == 1


def test_a_conversation_that_everything_came_from_leaves_no_summary(store):
    forbid(store, "bob-b", "Likes fish.")
    receipt = forget_conversation(store, "bob-b-talk-0")
    assert receipt.rebuilt == 0
    assert store.current("bob-b") is None
    assert store.rules("bob-b").forbid == ("Likes fish.",), "the user's own words stay"
    assert [event.id for event in store.events("bob-b")] == ["bob-b-event-1", "bob-b-event-3"]
    user = store.user("bob-b")
    assert user.last_event > user.read_upto, "the next update writes it anew"


@pytest.mark.on_disk
def test_a_conversation_belongs_to_a_user(store, tmp_path):
    """Two users' logs may number conversations alike: whose is asked, and nobody else's is forgotten or refused."""
    for user in ("ann-a", "bob-b"):
        store.add_events([Entry(user, event(user, 20, f"{user} in the garden"), "7", False)])
    with pytest.raises(ProfileError, match=r"2 users have a conversation '7' \('ann-a', 'bob-b'\); .* --user_id"):
        forget_conversation(store, "7")
    receipt = forget_conversation(store, "7", user_id="ann-a")
    assert receipt.removed["events"] == 1
    assert none(hits(tmp_path, "ann-a in the garden")) and not none(hits(tmp_path, "bob-b in the garden"))
    assert store.add_events([Entry("bob-b", event("bob-b", 21, "again"), "7")]).added == 1
    assert store.add_events([Entry("cay", event("cay", 1, "hello"), "7")]).added == 1
    assert store.add_events([Entry("ann-a", event("ann-a", 22, "again"), "7")]).refused == 1


def test_many_users_in_one_command_and_one_unknown(store, run, monkeypatch):
    """One rewriting, a receipt each; an unknown id leaves the others' receipts as they are."""
    rewritten = []
    kind = type(upkeep(store.file))
    monkeypatch.setattr(kind, "clean", lambda care, keys, clean=kind.clean: rewritten.append(1) or clean(care, keys))
    for n in range(20):
        store.add_events([Entry(f"user-{n}", event(f"user-{n}", 1), "", False)])
    receipts, unknown = forget_users(store, [*(f"user-{n}" for n in range(20)), "user-2O", "ann-a"])
    assert (len(receipts), unknown, rewritten) == (21, ["user-2O"], [1])
    assert all(receipt.rewritten and not receipt.found for receipt in receipts)
    assert receipts[-1].runs == {str(run): {"report.json": 1, "samples.jsonl": 3, "summaries.jsonl": 1}}
    kept = list(store.rows("SELECT subject, sha256 FROM receipts ORDER BY number"))
    assert kept == [(receipt.subject, receipt.as_dict()["sha256"]) for receipt in receipts]
    assert list(store.users()) == ["bob-b"]


def test_a_row_that_names_the_user_inside_is_cut_and_the_rest_is_not_rewritten(store, run):
    rows = [
        '{"row": {"user_id": "ann-a", "text": "' + SECRET + '"}}',
        '{"step": 1e3, "users": [{"user_id": "bob-b"},  {"user_id": "ann-a", "text": "x"}]}',
        '{"user_id": "bob-b",   "n": 1.50}',
    ]
    (run / "samples.jsonl").write_text("\n".join(rows) + "\n")
    (run / "report.json").write_text('{"n": 1e3,\t"examples": [{"user_id": "ann-a"}, {"user_id": "bob-b", "t": 1.0}]}')
    forget_user(store, "ann-a")
    assert (run / "samples.jsonl").read_text() == (
        '{"step": 1e3, "users": [{"user_id": "bob-b"}]}\n{"user_id": "bob-b",   "n": 1.50}\n'
    )
    assert (run / "report.json").read_text() == '{"n": 1e3,\t"examples": [{"user_id": "bob-b", "t": 1.0}]}'


def test_files_that_plus_did_not_write_are_searched_and_left_alone(store, run, tmp_path):
    """In a run folder a report, a table and rows of one's own; and a folder that is no run at all."""
    texts = {
        "notes.md": f'First: user ann-a, "{SECRET}."',
        "rows.csv": "ann-a,1\n",
        "own.jsonl": '{"user_id":"ann-a"}\n',
    }
    for name, text in texts.items():
        (run / name).write_text(text)
    receipt = forget_user(store, "ann-a")
    assert receipt.found == sorted(str(run / name) for name in texts)
    assert {name: (run / name).read_text() for name in texts} == texts
    other = tmp_path / "orders"
    other.mkdir()
    (other / "summaries.jsonl").write_text('{"user_id": "bob-b"}\n')
    with pytest.raises(ProfileError, match=r"is no folder that plus wrote .*nothing was changed"):
        forget_user(store, "bob-b", [other])
    assert (other / "summaries.jsonl").read_text() and "bob-b" in list(store.users())


def test_a_plan_changes_nothing(store, run, tmp_path):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (plan,) = planned(store, ["ann-a"])
    assert plan == {
        "user_id": "ann-a", "store": {"events": 5, "versions": 2, "rules": 1},
        "runs": {str(run): {"report.json": 1, "samples.jsonl": 3, "summaries.jsonl": 1}},
    }  # fmt: skip
    assert {path: path.read_bytes() for path in before} == before and "ann-a" in list(store.users())


@pytest.mark.on_disk
def test_the_forgotten_stay_so_in_a_store_made_anew_and_in_a_backup(store, tmp_path, path):
    backup = tmp_path / "backup.db"
    with sqlite3.connect(backup) as copy:
        store.file.connection.backup(copy)
    copy.close()
    forget_user(store, "ann-a")
    store.close()
    said: list[str] = []
    for file in tmp_path.glob("profiles.db*"):
        file.unlink()
    with Store(path, tell=said.append) as anew:
        assert anew.add_events([Entry("ann-a", event("ann-a", 1)), Entry("bob-b", event("bob-b", 1))]).refused == 1
        with pytest.raises(ForgottenError):
            save_user(anew, "ann-a", "Back.", 0)
        save_user(anew, "ANN-A", "Another spelling.", 0)
        assert len(said) == 1 and "a forgotten user's id is spelled like it" in said[0]
    for file in tmp_path.glob("profiles.db*"):
        file.unlink()
    backup.rename(tmp_path / "profiles.db")
    with Store(path, tell=said.append) as put_back:
        assert said[1:] == ["1 forgotten users were there again and were taken out; plus doctor cleans the file"]
        assert list(put_back.users()) == ["bob-b"]
        finish_interrupted(put_back)
    assert SECRET.encode() not in (tmp_path / "profiles.db").read_bytes()
    with Store(path) as put_back:
        assert lift(put_back, "ann-a") and not lift(put_back, "ann-a")
        assert put_back.add_events([Entry("ann-a", event("ann-a", 1))]).added == 1
    with Store(path) as put_back:
        assert "ann-a" in list(put_back.users()), "a lifted one is not taken out again"


@pytest.mark.on_disk
def test_the_receipt_names_programs_that_have_the_store_open(store):
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc")
    code = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(store.file.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        named = forget_user(store, "ann-a").programs
        other.communicate()
    assert len(named) == 1 and f"(process {other.pid})" in named[0]
    assert forget_user(store, "bob-b").programs == [], "this program itself is not named, nor one that has ended"
