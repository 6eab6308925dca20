"""One event is one event, whatever file, line or program it came through."""

from __future__ import annotations

import io
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plus.feedback.ingest import ingest
from plus.profiles import schema
from plus.profiles.adding import Added
from plus.profiles.identity import EqualEvents, likeness
from plus.profiles.runs import _entries
from plus.profiles.store import Store
from plus.sources.histories import entries
from plus.sources.rows import content_id
from plus.types import Context, Dropped, Entry, Event, Population, Preference, Reaction, Turn, UserHistory


def row(user: str, number: int, **more) -> str:
    said = {"user_id": user, "prompt": f"Soup {number}?", "chosen": f"leek {number}", "rejected": "none"}
    return json.dumps({**said, **more}) + "\n"


def update(store: Store, file: Path) -> Added:
    """As `plus summarize --update` adds choices."""
    return store.add_events(entries(file, Dropped()))


def test_the_next_days_lines_are_new_though_file_and_line_are_the_same(tmp_path, path):
    with Store(path) as store:
        for day in range(3):
            (tmp_path / str(day)).mkdir()
            (tmp_path / str(day) / "choices.jsonl").write_text(row("ann", day))
            assert update(store, tmp_path / str(day) / "choices.jsonl") == Added(1, 0, 0)
        for day in (3, 4):
            assert store.add_events(entries(io.StringIO(row("ann", day)), Dropped())) == Added(1, 0, 0)
        assert len(store.events("ann")) == 5
        assert {event.source.rpartition(" line ")[0] for event in store.events("ann")} == {"choices.jsonl", "stdin"}


def test_one_choice_through_every_door_is_one_and_on_one_side(tmp_path, path):
    """`plus ingest`, `plus summarize --update`, a file of another name and order, the run trained on it."""
    lines = [row(f"u{user}", n, timestamp=n) for user in range(6) for n in range(8)]
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text("".join(lines)), two.write_text("".join(reversed(lines)))
    with Store(path) as store:
        assert ingest([one], store).added == Added(48, 0, 0)
        assert update(store, one) == update(store, two) == Added(0, 48, 0)
        past = {user: tuple(store.events(user)) for user in store.users()}
        rows = tuple(
            Context(UserHistory(user, events[:4]), tuple(e.content for e in events[4:]))
            for user, events in past.items()
        )
        histories = {user: UserHistory(user, events[:4]) for user, events in past.items()}
        assert store.add_events(_entries(Population("run", rows, histories, events=past))) == Added(0, 48, 0)
        sides = "SELECT count(DISTINCT held_out) FROM events GROUP BY user, likeness"
        assert {count for (count,) in store.rows(sides)} == {1}


def test_equal_choices_of_one_file_are_several_and_stay_so(tmp_path, path):
    file = tmp_path / "c.jsonl"
    file.write_text(row("ann", 1) * 3 + row("ann", 2) + row("ben", 1))
    with Store(path) as store:
        assert update(store, file) == Added(5, 0, 0)
        assert ingest([file], store).added == Added(0, 5, 0)
        file.write_text(row("ann", 1) * 4)
        assert update(store, file) == Added(1, 3, 0), "a fourth one"
        assert len({event.id for event in store.events("ann")}) == 5


def test_two_logs_that_number_alike_lose_nothing(tmp_path, path):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text(row("ann", 1, id="1") + row("ann", 1, id="1"))
    two.write_text(row("ann", 2, id="1"))
    with Store(path) as store:
        assert ingest([one], store).added == Added(1, 1, 0), "logged twice under one id"
        assert [ingest([two], store).added for _ in range(2)] == [Added(1, 0, 0), Added(0, 1, 0)]
        first, second = (event.id for event in store.events("ann"))
        assert first == "1" and second.startswith("1~")


def test_a_forgotten_conversations_choice_does_not_come_back_through_a_door_without_sessions(tmp_path, path):
    from plus.profiles.forget import forget_conversation

    file = tmp_path / "c.jsonl"
    file.write_text(row("ann", 1, session_id="s") + row("ann", 2))
    with Store(path) as store:
        update(store, file)
        forget_conversation(store, "s")
        assert update(store, file) == Added(0, 1, 1)
        assert (
            store.add_events([Entry("ann", Event("", "choice", Preference("Soup 1?", "leek 1", "none")))]).refused == 1
        )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([None, 1.0, 2.0])), max_size=12))
def test_a_file_twice_or_a_store_from_before_gives_the_same_identities(tmp_path_factory, log):
    """The migration numbers equal events as reading the file does."""
    folder = tmp_path_factory.mktemp("s")
    events = [
        Entry(f"u{u}", Event("", "choice", Preference("p", f"c{n}", "r"), time), origin="f") for u, n, time in log
    ]
    with Store(folder / "p.db") as store:
        assert store.add_events(events).added == len(log)
        assert store.add_events(events) == Added(0, len(log), 0)
        now = sorted(store.rows("SELECT user, likeness FROM events"))
        old = sorted(store.rows("SELECT number, user, event_id, session_id, kind, time, source, content FROM events"))
        users = list(store.rows("SELECT number, user_id FROM users"))
    with sqlite3.connect(folder / "old.db") as raw:
        raw.executescript(schema.FIRST)
        raw.executemany("INSERT INTO users(number, user_id) VALUES (?, ?)", users)
        raw.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", old)
        raw.execute("INSERT INTO meta VALUES ('salt', x'00')")
        raw.executescript(f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = 1")
    raw.close()
    with Store(folder / "old.db") as store:
        assert sorted(store.rows("SELECT user, likeness FROM events")) == now
        assert store.add_events(events) == Added(0, len(log), 0)


TALK = (Turn("user", 'Tea\n"né"\x7f?'), Turn("assistant", "Rooibos."))


@pytest.mark.parametrize(
    ("event", "ids"),
    [
        (Event("a", "message", TALK, 12.5), ("efc00b8d4b7efa14", "a293ba870cd51e08", 1490624371339805164)),
        (Event("", "message", TALK), ("94afc2f7d33fc1ec", "96316d28b57932c1", 1490624371339805164)),
        (Event("", "remark", "Shorter, please."), ("917575fc06101388", "6e729cbfa1c81bad", 1258041396213846920)),
        (
            Event("", "choice", Preference("p", "c", "r", TALK), 3),
            ("d85786797983fcfa", "5138c10e1c9afc5c", 4515894898631667890),
        ),
        (
            Event("x", "reaction", Reaction("p", "é", True), 1e9),
            ("9d9114526474ead8", "fabb83fc45853a02", -202804172790925020),
        ),
    ],
)
def test_identities_are_those_that_stores_hold(event, ids):
    """Known values: with others, a log that was read once would be read as new."""
    assert (content_id("José", event), content_id("José", event, 2), likeness("José", event)) == ids
    with EqualEvents() as equal:
        one, two = equal.identify(Entry("José", event)), equal.identify(Entry("José", replace(event, id="other")))
    assert (one.first, one.likeness, one.nth, one.name) == (ids[0], ids[2], 1, event.id or ids[0])
    assert (two.first, two.likeness, two.nth, two.name) == (ids[0], ids[2], 2, "other")


def test_events_of_one_transaction_are_compared_with_each_other_before_they_are_written(tmp_path):
    """Equal, revised and renamed events within one batch end as they do in batches of one."""
    said = [("1", "tea"), ("1", "coffee"), ("2", "tea"), ("", "tea"), ("", "tea"), ("1", "coffee"), ("3", "rum")]
    events = [Entry("ann", Event(name, "remark", text), origin="f", revises=text == "coffee") for name, text in said]
    found = []
    for size in (1, 2, 100):
        with Store(tmp_path / f"{size}.db") as store, patch("plus.profiles.adding.BATCH", size):
            added = store.add_events(events)
            rows = [row[:1] + row[5:6] for row in store.event_rows("ann")]
            found.append((added, rows, store.user("ann").last_event == store.number("SELECT max(number) FROM events")))
    assert found[0] == found[1] == found[2]
    assert found[0][2] and found[0][0] == Added(5, 1, 0, 1)
