"""Reading reactions: the last of contradictory ones counts, clocks are checked, every dropped row is counted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs import write
from support.love_logs import START, log, rows

from plus.errors import SourceError
from plus.love import reactions
from plus.love.reactions import BACKWARDS, CONTRADICTED, IMPOSSIBLE, UNTIMED
from plus.love.splits import is_timed
from plus.profiles.store import Store
from plus.resources import shipped
from plus.types import Dropped, Entry, Event, Reaction


def row(user="ann", completion="Hello.", label=True, **more):
    return {"user_id": user, "prompt": "Hi", "completion": completion, "label": label, **more}


def read(tmp_path, found):
    path = tmp_path / "log.jsonl"
    write(path, found)
    dropped, corrected = Dropped(), Dropped()
    return reactions.load([path], dropped, corrected), dropped, corrected


def test_of_contradictory_reactions_to_one_message_the_last_counts_whatever_the_order_of_the_file(tmp_path):
    made = [
        row(label=True, timestamp=START),
        row(label=False, timestamp=START + 9),
        row(label=True, timestamp=START + 5),
    ]
    for number, order in enumerate((made, made[::-1])):
        (tmp_path / str(number)).mkdir()
        events, dropped, _ = read(tmp_path / str(number), order)
        assert [event.content.label for event in events["ann"]] == [False]
        assert dropped == {CONTRADICTED: 2}
        assert dropped.first[CONTRADICTED] == "user ann"


def test_without_times_the_one_that_stands_later_in_the_file_is_the_last(tmp_path):
    events, dropped, _ = read(tmp_path, [row(label=True), row(label=False), row("bob", label=True)])
    assert [event.content.label for event in events["ann"]] == [False]
    assert [event.content.label for event in events["bob"]] == [True]  # Another user's reaction is no contradiction.
    assert dropped == {CONTRADICTED: 1}


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans(), st.integers(0, 50)), min_size=1)
)
def test_after_reading_no_user_contradicts_themselves_and_every_row_is_kept_or_counted(made):
    events: dict[str, list[Event]] = {}
    for place, (user, answer, label, time) in enumerate(made):
        events.setdefault(user, []).append(Event(str(place), "reaction", Reaction("", answer, label), START + time))
    dropped = Dropped()
    clean = reactions.clean(events, dropped, Dropped())
    for past in clean.values():
        assert len({(e.content.completion, e.content.label) for e in past}) == len({e.content.completion for e in past})
        assert [e.time for e in past] == sorted(e.time for e in past)
    assert sum(map(len, clean.values())) + sum(dropped.values()) == len(made)


def test_rows_without_a_user_or_an_answer_and_rows_that_are_no_reaction_are_counted(tmp_path):
    made = [
        row(),
        {**row(), "user_id": None},
        row(completion="  "),
        {"user_id": "ann", "completion": "x"},
        row(label="maybe"),
        {"user_id": "ann", "prompt": "p", "chosen": "a", "rejected": "b"},
    ]
    events, dropped, _ = read(tmp_path, made)
    assert len(events["ann"]) == 1
    assert sum(dropped.values()) == 5
    assert dropped["rows without a 'user_id'"] == 1
    assert dropped[reactions.OTHER] == 1


def test_no_user_at_all_is_one_line_that_says_what_is_needed(tmp_path):
    with pytest.raises(SourceError, match=r"no reaction of a known user \(2 x rows without a 'user_id'.*needs rows of"):
        read(tmp_path, [{**row(), "user_id": None}] * 2)


def test_votes_on_unknown_statements_are_counted(tmp_path):
    for name in ("summary.csv", "comments.csv", "votes.csv"):
        (tmp_path / name).write_bytes((shipped("polis_sample") / name).read_bytes())
    with (tmp_path / "votes.csv").open("a") as file:
        file.write("1500233599160,x,99999,3,1\n")
    dropped = Dropped()
    events = reactions.load([tmp_path], dropped, Dropped())
    assert dropped["votes on a statement that comments.csv does not have"] == 1
    assert is_timed(events)


def test_clocks_that_run_backwards_are_counted_and_the_order_is_that_of_time(tmp_path):
    made = rows(log(users=3, each=30))
    made[40]["timestamp"] -= 7200  # u001's clock was set back.
    events, dropped, corrected = read(tmp_path, made)
    assert corrected == {BACKWARDS: 1}
    assert corrected.first[BACKWARDS] == "user u001"
    assert not dropped
    assert events["u001"][0].content.completion == made[40]["completion"]


def test_a_file_in_another_order_says_nothing_of_clocks(tmp_path):
    made = rows(log(users=3, each=30))
    random.Random(0).shuffle(made)
    events, _, corrected = read(tmp_path, made)
    assert not corrected
    assert all([e.time for e in past] == sorted(e.time for e in past) for past in events.values())


def test_times_that_are_missing_or_cannot_be_are_left_out_of_a_log_that_has_times(tmp_path):
    made = [row(completion=f"a{n}", timestamp=START + n) for n in range(5)]
    made += [
        row(completion="b"),
        row(completion="c", timestamp="1970-01-02"),
        row(completion="d", timestamp="2190-01-01"),
    ]
    events, dropped, _ = read(tmp_path, made)
    assert len(events["ann"]) == 5
    assert dropped == {UNTIMED: 1, IMPOSSIBLE: 2}


def test_a_log_mostly_without_times_has_none(tmp_path):
    events, dropped, _ = read(
        tmp_path, [row(completion=f"a{n}") for n in range(5)] + [row(completion="z", timestamp=START)]
    )
    assert len(events["ann"]) == 6
    assert not dropped
    assert not is_timed(events)


def test_a_profile_store_gives_the_reactions_that_ingest_put_there(tmp_path):
    past = [Event("1", "reaction", Reaction("p", "a", True), START), Event("2", "message", "hello", START + 1)]
    with Store(tmp_path / "s.db") as store:
        store.add_events([Entry("ann", event) for event in past])
    events = reactions.load([tmp_path / "s.db"], Dropped(), Dropped())
    assert [(e.id, e.content, e.time) for e in events["ann"]] == [("1", past[0].content, START)]
