"""Rounds: they wait for choices, keep everything, and are not run twice."""

from __future__ import annotations

import json

import pytest
from support.pets_policy import asked, policy

from plus.errors import RunError
from plus.jsonl import read_jsonl, write_jsonl
from plus.policy.model import UserPrompt
from plus.policy.rounds import Choice, choices_in_chat, differing_pairs, iterate, read_choices
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference, Turn


def first(pairs, folder) -> list[Choice]:
    return [Choice(pair.prompt, pair.a, pair.b) for pair in pairs]


def test_rounds_share_the_prompts_keep_their_data_and_are_not_done_twice(tmp_path):
    learned = []

    def learn(number, policy, choices, folder):
        learned.append((number, len(choices), folder.name))

    prompts = asked(24)
    end = iterate(tmp_path, 2, policy, prompts, learn, first)
    rows = [read_jsonl(tmp_path / f"round-{n}" / "to_judge.jsonl") for n in (1, 2)]
    assert learned == [(1, len(rows[0]), "round-1"), (2, len(rows[0]) + len(rows[1]), "round-2")], "labels add up"
    assert {row["prompt"] for row in rows[0]} <= {p.prompt for p in prompts[0::2]}
    assert {row["prompt"] for row in rows[1]} <= {p.prompt for p in prompts[1::2]}
    assert all(row["a"] != row["b"] and row["summary"] for row in rows[0])
    again = iterate(tmp_path, 2, policy, prompts, learn, first)
    assert len(learned) == 2
    assert again.answer(prompts[:2], seed=1) == end.answer(prompts[:2], seed=1)


def test_a_round_waits_for_people(tmp_path):
    prompts = asked(8)
    with pytest.raises(RunError, match=r"pairs of answers wait in .*to_judge.jsonl; write the users' choices"):
        iterate(tmp_path, 1, policy, prompts, lambda *given: None)
    waiting = read_jsonl(tmp_path / "round-1" / "to_judge.jsonl")
    chosen = [
        {**{k: row[k] for k in ("user_id", "summary", "prompt")}, "chosen": row["b"], "rejected": row["a"]}
        for row in waiting
    ]
    write_jsonl(tmp_path / "round-1" / "choices.jsonl", chosen)
    seen = []
    iterate(tmp_path, 1, policy, prompts, lambda number, one, choices, folder: seen.extend(choices))
    assert [(c.chosen, c.rejected) for c in seen] == [(row["b"], row["a"]) for row in waiting]
    assert (tmp_path / "round-1" / "policy" / "model.safetensors").exists()


def test_pairs_that_people_may_be_choosing_from_stay_as_they_are(tmp_path):
    with pytest.raises(RunError):
        iterate(tmp_path, 1, policy, asked(8), lambda *given: None)
    path = tmp_path / "round-1" / "to_judge.jsonl"
    path.write_text(path.read_text().split("\n")[0] + "\n")
    before = path.stat().st_mtime_ns
    with pytest.raises(RunError, match="1 pairs of answers wait"):
        iterate(tmp_path, 1, policy, asked(8), lambda *given: None, lambda pairs, folder: [])
    assert path.stat().st_mtime_ns == before


def test_what_was_chosen_in_plus_chat_since_the_round_began_is_its_choices(tmp_path):
    def choice(name, source, time, kind="choice"):
        pair = Preference("Tea?", f"{name} yes", f"{name} no", (Turn("user", "Hi."), Turn("assistant", "Hello.")))
        return Entry("ann", Event(name, kind, pair, time, source))

    (tmp_path / "to_judge.jsonl").write_text("")
    now = (tmp_path / "to_judge.jsonl").stat().st_mtime
    with Store(tmp_path / "p.db") as store:
        times = {"early": ("plus chat", now - 9), "other": ("a log", now + 9), "mine": ("plus chat", now + 9)}
        store.add_events([choice(name, *given) for name, given in times.items()])
        save_user(store, "ann", "The user likes tea.", 0)
    asks = UserPrompt(
        (Turn("user", "Hi."), Turn("assistant", "Hello."), Turn("user", "Tea?")), "The user likes tea.", "ann"
    )
    assert choices_in_chat(tmp_path / "p.db")([], tmp_path) == [Choice(asks, "mine yes", "mine no")]


def test_rows_that_are_no_choice_are_refused_with_their_line(tmp_path):
    path = tmp_path / "choices.jsonl"
    good = {"prompt": [{"role": "user", "content": "Tea?"}], "chosen": "a", "rejected": "b"}
    path.write_text(json.dumps(good) + "\n")
    assert read_choices(path) == [Choice(UserPrompt((Turn("user", "Tea?"),)), "a", "b")]
    path.write_text(json.dumps({**good, "chosen": "a\u2028b\x85", "rejected": ""}, ensure_ascii=False) + "\n")
    assert read_choices(path)[0].chosen == "a\u2028b\x85"
    assert read_choices(path)[0].rejected == "", "no answer is an answer that can be rejected"
    for text, complaint in (
        ("", "holds no choice"),
        ("{\n", "line 1 is not JSON"),
        ('{"prompt": "x"}\n', "line 1 has no 'chosen'"),
    ):
        path.write_text(text)
        with pytest.raises(RunError, match=complaint):
            read_choices(path)


def test_only_pairs_of_different_answers_are_kept():
    one = policy()
    assert all(pair.a != pair.b for pair in differing_pairs(one, asked(12), 0))
