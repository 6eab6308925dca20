"""Preference pairs from feedback: which answers stand against which, and what never makes a pair."""

from __future__ import annotations

import json

import pytest
from support.logs import open_webui_chat, write
from support.running import plus
from support.talks import talk

from plus.profiles.store import Store
from plus.signals.pairs import PARTLY, WEIGHTS, from_events, from_talk, once, stated
from plus.signals.rules import Signal, signals
from plus.types import Entry, Event, Preference, Reaction


def pairs_of(*said: str):
    found = talk(*said)
    return from_talk(found, signals(found.turns))


def test_an_accepted_revision_stands_against_each_answer_that_drew_a_complaint():
    found, left = pairs_of("Tell me of bees.", "Long 1.", "Too long. I like lists.", "Long 2.", "Still wrong.", "Short.", "Perfect!")  # fmt: skip
    assert [(one.event.content.prompt, one.event.content.chosen, one.event.content.rejected) for one in found] == [
        ("Tell me of bees.", "Short.", "Long 1."),
        ("Tell me of bees.", "Short.", "Long 2."),
    ]
    assert not left and found[0].evidence == ("Too long.", "Perfect!") and found[0].preferences == ("Too long.",)
    assert found[0].weight == pytest.approx(0.75 * 0.88), "the complaint's probability times the praise's"
    assert {one.event.source for one in found} == {"feedback:revised"} and found[0].event.time == 7.0


@pytest.mark.parametrize(
    "said",
    [
        ("Tell me of bees.", "Long.", "Too long.", "Short."),  # silence
        (
            "Tell me of bees.",
            "Long.",
            "Too long.",
            "Short.",
            "And of wasps?",
            "They sting.",
            "Thanks!",
        ),  # another question
        ("Tell me of bees.", "Long.", "Too long.", "Long.", "Thanks!"),  # the same answer again
        ("Tell me of bees.", "Fine.", "Thanks!"),  # nothing to reject
        ("Too long.", "Sorry?", "Thanks!"),  # nothing was said before
        ("Tell me of bees.", "Fine.", "And of ants?", "Small.", "And wasps?"),  # no feedback at all
    ],
)
def test_silence_and_other_questions_are_no_evidence(said):
    assert pairs_of(*said)[0] == []


def test_a_complaint_without_a_better_answer_is_left_to_be_answered_anew():
    _, left = pairs_of("Tell me of bees.", "Long.", "Too long.", "Short.", "And of wasps?")
    (one,) = left
    assert (one.asked.prompt, one.asked.rejected, one.turn, one.evidence) == ("Tell me of bees.", "Long.", 2, ("Too long.",))  # fmt: skip


def test_getting_there_is_half_an_acceptance_and_unsure_is_none():
    found = talk("Tell me of bees.", "Long.", "Too long.", "Short.", "Better.")
    better = Signal(4, "satisfied", 0.8, ((0, 6, "getting there"),))
    complaint = Signal(2, "dissatisfied", 0.9, ((0, 8, "style"),))
    (pair,), _ = from_talk(found, [complaint, better])
    assert pair.weight == pytest.approx(0.9 * 0.8 * PARTLY)
    assert from_talk(found, [complaint, Signal(4, "unsure", 0.5)])[0] == []


def test_thumbs_make_a_pair_only_on_two_answers_to_one_prompt():
    def thumb(name: str, prompt: str, answer: str, up: bool) -> tuple[str, Event]:
        return "s", Event(name, "reaction", Reaction(prompt, answer, up), 1.0, "x")

    made = [*from_events("ann", [thumb("1", "Q", "good", True), thumb("2", "Q", "bad", False), thumb("3", "R", "bad", False)])]  # fmt: skip
    (pair,) = made
    assert pair.event.content == Preference("Q", "good", "bad") and pair.weight == WEIGHTS["thumbs"]
    assert not [*from_events("ann", [thumb("1", "Q", "same", True), thumb("2", "Q", "same", False)])]


def test_branches_are_weak_and_choices_are_not():
    events = [("", Event(str(n), "choice", Preference("Q", "a", f"b{n}"), None, source)) for n, source in enumerate(("chatgpt:regenerated", "chatgpt:edited", "mine"))]  # fmt: skip
    assert [one.weight for one in from_events("ann", events)] == [0.5, 0.3, 1.0]
    twice = [*from_events("ann", [events[0], ("", Event("9", "choice", Preference("Q", "a", "b0"), None, "mine"))])]
    assert [one.weight for one in once(twice)] == [1.0], "of the same comparison the one that is trusted more"


def log(user: str, session: str, *said: str) -> dict:
    return {"user_id": user, "session_id": session, "messages": [{"role": turn.role, "content": turn.content} for turn in talk(*said).turns]}  # fmt: skip


def test_from_logs_to_rows_that_training_takes(tmp_path):
    rows = [log("ann", "s1", "Tell me of bees.", "Long.", "Too long.", "Short.", "Perfect, thanks!"),
            log("bob", "s2", "Name a pet.", "A snake.", "I hate that. No snakes.", "A cat.", "And a bird?"),
            {"messages": log("", "", "Tell me of ants.", "Long.", "Too long.", "Short.", "Great!")["messages"], "user_id": "cid"}]  # fmt: skip
    write(tmp_path / "log.jsonl", rows)
    write(tmp_path / "w.jsonl", [open_webui_chat()])
    store = tmp_path / "p.db"
    assert plus("ingest", tmp_path / "log.jsonl", tmp_path / "w.jsonl", "--store", store).returncode == 0
    command = ("pairs", "--store", store, "--engine", "rules", "--output", tmp_path / "pairs.jsonl", "--preferences", tmp_path / "said.jsonl", "--json")  # fmt: skip
    done = plus(*command)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["kinds"] == {"thumbs": 1, "revised": 2}, facts
    made = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    revised = [row for row in made if row["source"] == "feedback:revised"]
    assert {row["user_id"] for row in revised} == {"ann", "cid"}, "a log without session ids still is one talk"
    assert all(row["evidence"] and 0.2 <= row["weight"] <= 1 and "split" not in row for row in revised)
    said = {row["user_id"]: row["preferences"] for row in map(json.loads, (tmp_path / "said.jsonl").read_text().splitlines())}  # fmt: skip
    assert said["cid"] == ["Too long."] and "Short. I like that." in said["ann"]
    assert plus(*command).returncode == 2, "nothing is overwritten"
    checked = plus("data", "check", tmp_path / "pairs.jsonl", "--json")
    assert checked.returncode == 0, checked.stderr
    nothing = plus("pairs", "--store", store, "--output", tmp_path / "x", "--dry-run")
    assert "nothing would be sent" in nothing.stderr and not (tmp_path / "x").exists()


def test_the_checklist_is_what_the_user_said_once_each(tmp_path):
    with Store(tmp_path / "p.db") as store:
        store.add_events([Entry("ann", Event(str(n), "remark", text)) for n, text in enumerate(("Be short.", "No snakes.", "Be short."))])  # fmt: skip
        assert stated(store, "ann") == ("Be short.", "No snakes.")
