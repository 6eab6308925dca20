"""Summaries for many users: skipped when unchanged, resumed after kill -9, faster than a plain pipeline."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support.endpoint_server import serving
from support.running import ENVIRONMENT, data_of, plus

from plus.errors import RunError
from plus.profiles.update import SummaryFile, digest, fingerprint, written
from plus.resources import shipped
from plus.types import Event, Preference, UserHistory
from plus.worlds import pets

HISTORY = UserHistory("ann", (Event("1", "choice", Preference("Where?", "Here.", "There."), time=5.0),))


def choices(path, users: int, events=(1, 2), seed: int = 0) -> list[str]:
    """A file of past choices with `users` users; their ids."""
    rng = random.Random(seed)
    rows = [
        {"user_id": f"u{user}", "prompt": f"Tell me {n}.", "chosen": f"Cats {user}.", "rejected": "Dogs."}
        for user in range(users)
        for n in range(rng.randint(*events))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [f"u{user}" for user in range(users)]


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_digest_changes_with_what_is_read_and_by_whom_alone():
    same = replace(HISTORY, events=(replace(HISTORY.events[0], id="other", time=6.0),))
    other = replace(HISTORY, events=(*HISTORY.events, Event("2", "remark", "I like cats.")))
    assert digest(HISTORY, "model") == digest(same, "model")
    assert len({digest(HISTORY, "model"), digest(other, "model"), digest(HISTORY, "another")}) == 3


def test_a_model_is_known_by_its_files_and_settings(tmp_path):
    shutil.copytree(shipped("tiny_base"), tmp_path / "one")
    shutil.copytree(shipped("tiny_base"), tmp_path / "two")
    assert fingerprint(tmp_path / "one", 5) == fingerprint(tmp_path / "two", 5) != fingerprint(tmp_path / "two", 6)
    weights = tmp_path / "two" / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-5] ^= 1
    weights.write_bytes(changed)
    assert fingerprint(tmp_path / "one", 5) != fingerprint(tmp_path / "two", 5)


def test_a_torn_last_line_is_cut_and_a_foreign_file_is_left_alone(tmp_path):
    path = tmp_path / "out.jsonl"
    file = SummaryFile(path)
    file.add(HISTORY, "Likes here.", "m")
    file.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"user_id": "bob", "summ')
    file = SummaryFile(path)
    assert file.unchanged(HISTORY, "m") and not file.unchanged(HISTORY, "another model")
    assert path.read_bytes() == whole
    file.close()
    path.write_bytes(b"my notes\n")
    with pytest.raises(RunError, match="line 1 is no summary that plus wrote"):
        SummaryFile(path)
    assert path.read_bytes() == b"my notes\n"


def test_windows_hand_each_history_its_own_text():
    class Backwards:
        def stream(self, histories):
            return ((n, histories[n].user_id.upper()) for n in reversed(range(len(histories))))

    users = [UserHistory(f"u{n}") for n in range(7)]
    assert {h.user_id: t for h, t in written(users, Backwards(), window=3)} == {f"u{n}": f"U{n}" for n in range(7)}


def test_a_killed_job_goes_on_and_an_unchanged_one_asks_nothing(tmp_path):
    """Real processes against a real server: kill -9 in the middle, resume, run again, change one history."""
    users = choices(tmp_path / "choices.jsonl", 60)
    out = tmp_path / "out.jsonl"
    with serving(seconds=0.05) as server:
        command = [sys.executable, "-m", "plus", "summarize", server.url, str(tmp_path / "choices.jsonl")]
        command += ["--model", "m", "--output", str(out)]
        job = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while (not out.exists() or out.read_bytes().count(b"\n") < 10) and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
        left = out.read_bytes().count(b"\n")
        assert 10 <= left < 60, "killed in the middle"
        refused = plus("summarize", *command[4:])
        assert refused.returncode == 2 and "--resume to go on" in refused.stderr
        server.asked.clear()
        done = plus("summarize", *command[4:], "--resume")
        assert done.returncode == 0, done.stderr
        assert len(server.asked) == 60 - left and f"{left} users are unchanged" in done.stderr
        assert sorted(row["user_id"] for row in lines(out)) == sorted(users)
        assert all(row["summary"] == f"Likes Cats {row['user_id'][1:]}." for row in lines(out))

        server.asked.clear()
        before = out.read_bytes()
        assert plus("summarize", *command[4:], "--resume").returncode == 0
        assert not server.asked and out.read_bytes() == before

        with (tmp_path / "choices.jsonl").open("a") as file:
            file.write(json.dumps({"user_id": "u3", "prompt": "And?", "chosen": "Fish 9.", "rejected": "Dogs."}) + "\n")
        again = plus("summarize", *command[4:], "--resume", "--json")
        assert len(server.asked) == 1 and out.read_bytes().startswith(before)
        assert data_of(again.stdout)["u3"] == "Likes Fish 9." and len(data_of(again.stdout)) == 60


def test_mixed_histories_are_summarized_as_one_by_one(base):
    """Batches of similar length do not change a greedy text."""
    users = mixed(24)
    together = dict(base.stream(users))
    assert sorted(together) == list(range(24))
    for number in (0, 7, 23):
        assert base.summarize([users[number]]) == [together[number]]


def mixed(count: int) -> list[UserHistory]:
    """Histories of one to twenty choices."""
    rng = random.Random(0)
    people = list(pets.load(0, train_users=20 * count, pairs_per_user=1, test_pairs=1).histories.values())
    events = [event for person in people for event in person.events]
    return [UserHistory(f"u{n}", tuple(rng.sample(events, rng.randint(1, 20)))) for n in range(count)]


@pytest.mark.slow
def test_three_times_a_plain_pipeline_and_fifty_times_when_nothing_changed(base, tmp_path):
    """The same greedy texts as transformers' text-generation pipeline, at least three times as fast."""
    from transformers import pipeline

    users = mixed(100)
    base.max_prompt_length, base.max_completion_length = 2048, 32
    base.tokenizer.eos_token, base.model.generation_config.eos_token_id = "<|system|>", None  # It writes 32 tokens.
    prompts = [base.messages(user) for user in users]
    plain = pipeline("text-generation", model=base.model, tokenizer=base.tokenizer)
    options = {"max_new_tokens": base.max_completion_length, "do_sample": False, "return_full_text": False}
    options["eos_token_id"] = base.tokenizer.eos_token_id
    plain(prompts[:2], **options), list(base.stream(users[:2]))

    started = time.perf_counter()
    expected = [answer[0]["generated_text"].strip() for answer in plain(prompts, **options)]
    slow = time.perf_counter() - started
    file, started = SummaryFile(tmp_path / "out.jsonl"), time.perf_counter()
    for history, text in written(users, base):
        file.add(history, text, "m")
    fast = time.perf_counter() - started
    file.close()
    started = time.perf_counter()
    file = SummaryFile(tmp_path / "out.jsonl")
    assert all(file.unchanged(user, "m") for user in users)
    again = time.perf_counter() - started
    file.close()
    print(f"pipeline {slow:.2f} s, plus {fast:.2f} s ({slow / fast:.1f} times)")
    print(f"unchanged {again:.4f} s ({fast / again:.0f} times)")
    assert [file.summaries[user.user_id] for user in users] == expected
    assert slow >= 3 * fast
    assert fast >= 50 * again
