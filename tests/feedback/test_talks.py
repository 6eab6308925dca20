"""One talk is one talk however often and in however many parts its log is read, and two that begin alike are two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.ingesting import read_rows, said, store_of
from support.logs import LOGS, langfuse_trace, write

from plus.profiles.store import Store
from plus.signals.find_pairs import user_talks


def row(*texts: str, user: str = "ann", **more: object) -> dict:
    """A chat of these texts, the user's first."""
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    return {"user": user, "messages": messages, **more}


HELLO = ("Hello", "Hi. What do you need?")
CALLS = [  # a log of calls, each with all that came before, without a name for the conversation
    row(*HELLO, id="c1"), row(*HELLO, "A pet", "A cat.", id="c2"), row("Bye", "So long.", id="c3"),
    row(*HELLO, "A pet", "A cat.", "Why?", "It purrs.", id="c4"), row(*HELLO, id="c5"),
    row(*HELLO, "A bird", "A tit.", id="c6"),
]  # fmt: skip


def sessions(found) -> list[str]:
    return [entry.session_id for entry in found]


def test_two_talks_that_begin_alike_are_two_sessions_and_no_pair_is_made_across(tmp_path):
    one = row(*HELLO, "Sort a list", "Use sort().", "No, that is wrong.", "Use sorted().")
    two = row(*HELLO, "Sort a list", "Use sort().", "Perfect, thanks!", "Glad to help.")
    _, found = read_rows(tmp_path, one, two)
    assert len(found) == 6 and len(set(sessions(found))) == 2
    write(tmp_path / "two.jsonl", [one, two])
    store_of(tmp_path / "s.db", tmp_path / "two.jsonl")
    with Store(tmp_path / "s.db") as store:
        assert [len(talk.turns) for talk in user_talks(store, "ann")] == [6, 6]


def test_calls_that_repeat_their_talk_give_each_exchange_once_and_the_same_words_again_twice(tmp_path):
    events = store_of(tmp_path / "s.db", _written(tmp_path, CALLS))
    texts = sorted(json.loads(event[5])[0][1] for event in events)
    assert texts == ["A bird", "A pet", "Bye", "Hello", "Hello", "Why?"]
    assert len({event[2] for event in events}) == 3


def _written(folder: Path, rows: list[dict]) -> Path:
    path = folder / f"part{len(list(folder.glob('part*')))}.jsonl"
    write(path, rows)
    return path


@pytest.mark.parametrize("name", [*LOGS, "calls", "without ids"])
def test_twice_and_in_halves_a_log_is_the_same_store(tmp_path, name):
    rows = {"calls": CALLS, "without ids": [{**one, "id": None} for one in CALLS if one["id"] != "c5"]}.get(name)
    rows = LOGS[name][0] * 1 if rows is None else rows
    whole = _written(tmp_path, rows)
    once = store_of(tmp_path / "once.db", whole)
    assert store_of(tmp_path / "twice.db", whole, whole) == once
    # Transcripts are cut between talks, other logs at every row.
    cuts = [len(rows) // 2] if name in ("claude_code", "codex") else range(len(rows) + 1)
    for number, cut in enumerate(cuts):
        parts = [_written(tmp_path, part) for part in (rows[:cut], rows[cut:]) if part]
        assert store_of(tmp_path / f"half{number}.db", *parts) == once, cut


def test_a_log_that_lists_its_newest_calls_first_gives_each_exchange_once(tmp_path):
    for calls in (CALLS[:2], CALLS[:2][::-1]):
        assert sorted(said(read_rows(tmp_path, *calls)[1]))[:2] != []
    with Store(tmp_path / "s.db") as store:
        counts = store.add_events(read_rows(tmp_path, *CALLS[:2][::-1])[1])
        assert (counts.added, counts.known) == (2, 1)


def test_the_same_words_in_another_call_are_another_event_in_the_same_session_too(tmp_path):
    traces = [langfuse_trace(f"t{n}", input="Go on", output="...", timestamp=f"2026-0{n}-01T00:00:00Z") for n in (1, 2)]
    lone = [{**trace, "sessionId": None} for trace in traces]
    for rows in (traces, lone):
        found = read_rows(tmp_path, *rows)[1]
        assert len({entry.event.id for entry in found}) == 2
    assert len(set(sessions(found))) == 2


def test_ids_that_count_the_messages_of_each_talk_are_no_names(tmp_path):
    rows = [{"user": "ann", "messages": [{"role": "user", "id": 0, "content": text},
             {"role": "assistant", "id": 1, "content": "ok"}]} for text in ("A", "B", "C")]  # fmt: skip
    events = store_of(tmp_path / "s.db", _written(tmp_path, rows))
    assert len(events) == 3
