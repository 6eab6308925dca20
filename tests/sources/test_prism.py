"""PRISM in both of its published files: the same choices, the conversation so far, and the drops."""

from __future__ import annotations

import json

import pytest

from plus.errors import SourceError
from plus.sources import prism
from plus.types import Preference, Turn


def talk(number: int, user: str, when: str, exchanges, feedback: str = "") -> dict:
    """A row of conversations.jsonl: one user turn, then the rated model turns, for each exchange."""
    history = []
    for turn, (asked, answers) in enumerate(exchanges):
        history.append(
            {"turn": turn, "role": "user", "content": asked, "model_name": None, "score": None, "if_chosen": None}
        )
        for place, (text, score, chosen) in enumerate(answers):
            history.append({"turn": turn, "role": "model", "content": text, "model_name": "m", "score": score,
                            "if_chosen": chosen, "within_turn_id": place})  # fmt: skip
    return {
        "conversation_id": f"c{number}",
        "user_id": user,
        "generated_datetime": when,
        "conversation_type": "unguided",
        "conversation_history": history,
        "open_feedback": feedback,
    }


TALKS = [
    talk(1, "ann", "2023-11-22 13:00:00", [
        ("Hi?", [("Hello!", 90, True), ("Yo.", 40, False), ("Hm.", 10, False), ("Same.", 90, False)]),
        ("More?", [("Sure.", 70, True), ("No.", 20, False)]),
    ], "I liked it."),
    talk(2, "ann", "2023-11-23 13:00:00", [("Cats?", [("Cats!", 80, True), ("Dogs!", 30, False)])]),
    talk(3, "bob", "2023-11-22 13:00:00", [("One?", [("A", 5, False), ("B", 4, False)])]),
]  # fmt: skip


def write(folder, name: str, rows) -> None:
    (folder / name).write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def flat() -> list[dict]:
    """The same as utterances.jsonl: a row is one rated answer."""
    rows = []
    for row in TALKS:
        asked = {turn["turn"]: turn["content"] for turn in row["conversation_history"] if turn["role"] == "user"}
        for turn in row["conversation_history"]:
            if turn["role"] == "model":
                rows.append(
                    {
                        "utterance_id": f"ut{len(rows)}",
                        "conversation_id": row["conversation_id"],
                        "user_id": row["user_id"],
                        "turn": turn["turn"],
                        "within_turn_id": turn["within_turn_id"],
                        "user_prompt": asked[turn["turn"]],
                        "model_response": turn["content"],
                        "score": turn["score"],
                        "if_chosen": turn["if_chosen"],
                    }
                )
    return rows


HI = [Preference("Hi?", "Hello!", "Hm."), Preference("Hi?", "Hello!", "Yo.")]
MORE = Preference("More?", "Sure.", "No.", (Turn("user", "Hi?"), Turn("assistant", "Hello!")))
CATS = Preference("Cats?", "Cats!", "Dogs!")


def test_conversations_become_dated_choices_with_the_turns_before(tmp_path):
    write(tmp_path, "conversations.jsonl", TALKS)
    population = prism.load(tmp_path)
    events = population.histories["ann"].events
    assert [event.content for event in events] == HI, "the older half, and what was chosen in one turn stays together"
    assert [example.target for example in population.examples] == [MORE, CATS]
    assert population.examples[0].target.conversation[-1] == Turn("user", "More?")
    assert events[0].time == 1700658000.0
    assert population.dropped["pairs that choose nothing: equal ratings or an empty or equal answer"] == 1
    assert population.dropped["conversations from a turn on that has no one chosen answer"] == 1
    assert population.dropped["later events that are no choices, so nothing to predict"] == 1  # the open feedback


def test_utterances_hold_the_same_choices_without_times(tmp_path):
    write(tmp_path, "utterances.jsonl", flat())
    population = prism.load(tmp_path, seed=1)
    contents = {e.content for e in population.histories["ann"].events} | {e.target for e in population.examples}
    held = population.dropped["targets that stand in their own context"]
    assert contents <= {*HI, MORE, CATS} and len(contents) + held == 4
    assert all(event.time is None for event in population.histories["ann"].events)


def test_the_order_of_rows_is_irrelevant(tmp_path):
    write(tmp_path, "conversations.jsonl", TALKS)
    one = prism.load(tmp_path)
    write(tmp_path, "conversations.jsonl", reversed(TALKS))
    assert prism.load(tmp_path).examples == one.examples


def test_bad_conversations_are_counted_and_a_wrong_folder_is_named(tmp_path):
    write(tmp_path, "conversations.jsonl", [*TALKS, {"conversation_id": "c9"}, "{broken"])
    assert prism.load(tmp_path).dropped["conversations that are not in PRISM's format"] == 1
    assert prism.load(tmp_path).dropped["lines that are no JSON object"] == 1
    (tmp_path / "other").mkdir()
    with pytest.raises(SourceError, match=r"there is no file or folder .*conversations.jsonl"):
        prism.load(tmp_path / "other")
