"""Pairs of a store: the command, the Python door, the checklist, and held-out prompts of every subject, none twice."""

from __future__ import annotations

import json

import torch
from support.logs import open_webui_chat, write
from support.running import data_of, plus
from support.talks import talk

from plus.doors import resolve
from plus.profiles.store import Store
from plus.signals.find_pairs import sample_prompts, stated_preferences
from plus.types import Entry, Event


def log(user: str, session: str, *said: str) -> dict:
    return {
        "user_id": user,
        "session_id": session,
        "messages": [{"role": turn.role, "content": turn.content} for turn in talk(*said).turns],
    }


def test_from_logs_to_rows_that_training_takes(tmp_path):
    rows = [
        log("ann", "s1", "Tell me of bees.", "Long.", "Too long.", "Short.", "Perfect, thanks!"),
        log("bob", "s2", "Name a pet.", "A snake.", "I hate that. No snakes.", "A cat.", "And a bird?"),
        {
            "messages": log("", "", "Tell me of ants.", "Long.", "Too long.", "Short.", "Great!")["messages"],
            "user_id": "cid",
        },
    ]
    write(tmp_path / "log.jsonl", rows)
    write(tmp_path / "w.jsonl", [open_webui_chat()])
    store = tmp_path / "p.db"
    assert plus("ingest", tmp_path / "log.jsonl", tmp_path / "w.jsonl", "--store", store).returncode == 0
    command = (
        "pairs",
        "--store",
        store,
        "--engine",
        "rules",
        "--output",
        tmp_path / "pairs.jsonl",
        "--preferences",
        tmp_path / "said.jsonl",
        "--json",
    )
    done = plus(*command)
    assert done.returncode == 0, done.stderr
    facts = data_of(done.stdout)
    assert facts["kinds"] == {"thumbs": 1, "revised": 2}, facts
    made = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    revised = [row for row in made if row["source"] == "feedback:revised"]
    assert {row["user_id"] for row in revised} == {"ann", "cid"}, "a log without session ids still is one talk"
    assert all(row["evidence"] and 0.2 <= row["weight"] <= 1 and "split" not in row for row in revised)
    said = {
        row["user_id"]: row["preferences"]
        for row in map(json.loads, (tmp_path / "said.jsonl").read_text().splitlines())
    }
    assert said["cid"] == ["Too long."] and "Short. I like that." in said["ann"]
    assert plus(*command).returncode == 2, "nothing is overwritten"
    with Store(store) as opened:
        report = resolve("pairs")(opened, engine="rules", preferences=tmp_path / "said2.jsonl")
    assert report.to_json() == facts and report.splits == (None,) * 3
    assert [json.loads(json.dumps(pair.row())) for pair in report.pairs] == made
    assert (tmp_path / "said2.jsonl").read_text() == (tmp_path / "said.jsonl").read_text()
    checked = plus("data", "check", tmp_path / "pairs.jsonl", "--json")
    assert checked.returncode == 0, checked.stderr
    nothing = plus("pairs", "--store", store, "--output", tmp_path / "x", "--dry-run")
    assert "nothing would be sent" in nothing.stderr and not (tmp_path / "x").exists()


def test_the_checklist_is_what_the_user_said_once_each(tmp_path):
    with Store(tmp_path / "p.db") as store:
        store.add_events(
            [
                Entry("ann", Event(str(n), "remark", text))
                for n, text in enumerate(("Be short.", "No snakes.", "Be short."))
            ]
        )
        assert stated_preferences(store, "ann") == ("Be short.", "No snakes.")


CENTRES = {"bees": (1.0, 0, 0), "tax": (0, 1.0, 0), "code": (0, 0, 1.0)}


def encode(lines: list[str]) -> torch.Tensor:
    """Near the subject's axis; the further the higher the number, so that distances are known."""
    found = []
    for line in lines:
        subject, number = line.split()
        axis = torch.tensor(CENTRES[subject])
        found.append(axis + 0.25 * int(number) * torch.roll(axis, 1))
    return torch.stack(found)


PROMPTS = [f"{subject} {number}" for subject in CENTRES for number in range(5)]


def test_every_subject_is_held_out_before_any_twice():
    chosen = [PROMPTS[place] for place in sample_prompts(PROMPTS, 3, encode, clusters=3)]
    assert sorted(one.split()[0] for one in chosen) == ["bees", "code", "tax"]
    assert sample_prompts(PROMPTS, 3, encode, clusters=3) == sample_prompts(PROMPTS, 3, encode, clusters=3)


def test_near_duplicates_are_taken_once_and_no_more_than_there_are():
    twice = [*PROMPTS, *PROMPTS]
    chosen = sample_prompts(twice, 30, encode, clusters=3)
    assert len({twice[place] for place in chosen}) == len(chosen) and len(chosen) <= len(PROMPTS)
    assert sample_prompts([], 3, encode) == [] == sample_prompts(PROMPTS, 0, encode)
