"""Logs as disks, editors and programs damage them: no crash, never slow, and each row that is dropped has its line."""

from __future__ import annotations

import copy
import json
import random
import time
from typing import Any

import pytest
from support.logs import LOGS, langfuse_observation, langfuse_score, write

from plus.errors import PlusError, SourceError
from plus.feedback import formats, streams
from plus.feedback.ingest import DropLog, LogCounts, entries
from plus.feedback.log_files import Reading, find_logs, log_rows
from plus.feedback.log_row import ParseState
from plus.feedback.reactions import LastReactions
from plus.profiles.store import Store
from plus.sources.fields import UnusableError
from plus.types import Dropped

SLOWEST = 2.0  # seconds of processor time for one file
ODD: list[Any] = [
    None, True, -1, 0, 1e308, -1e308, float("nan"), float("inf"), 10**400, 2**63, "", "\x00", "\ud800", " ", [], {},
    [[]], [None], {"role": 1}, [{"role": None, "content": 1}], {"": {}}, "9" * 50, [1, "a", {}], "x" * 5000,
    {"content": {"parts": 3}},
]  # fmt: skip
FORMATS = {**{name: found[0] for name, found in LOGS.items()},
           "langfuse_apart": [langfuse_score(), langfuse_observation(), langfuse_score(value=0)]}  # fmt: skip


def every_place(value: Any, at: tuple = ()) -> list[tuple]:
    """The path to every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inner for place in every_place(one, (*at, key)))]


def replace(value: Any, place: tuple, by: Any) -> Any:
    *way, last = place
    for key in way:
        value = value[key]
    if by is ODD:
        del value[last]
    else:
        value[last] = by


def mutated(rng: random.Random, path) -> str:
    """Write a damaged log; returns what was done to it."""
    name = rng.choice(sorted(FORMATS))
    log = json.loads(json.dumps(FORMATS[name] * rng.choice([1, 3])))
    kind = rng.choice(
        ["wrong type", "wrong types", "missing", "truncated", "bits", "nested", "duplicate", "encoding", "lines"]
    )
    if kind.startswith("wrong") or kind == "missing":
        for _ in range(rng.randint(2, 12) if kind == "wrong types" else 1):
            places = [place for place in every_place(log) if place]
            if places:
                replace(log, rng.choice(places), ODD if kind == "missing" else copy.deepcopy(rng.choice(ODD)))
    if kind == "nested":
        places = [place for place in every_place(log) if place]
        replace(log, rng.choice(places), "DEEP")
    text = json.dumps(log) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in log)
    depth = rng.choice([50, 900, 3000, 100_000])
    text = text.replace(
        '"DEEP"', rng.choice(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth])
    )
    if kind == "duplicate":
        text = text.replace("{", '{"role": 5, "content": {}, ', 1).replace(
            "}", ', "messages": 3, "messages": [], "id": []}', 1
        )
    data = bytearray(text.encode(rng.choice(["utf-16", "utf-8-sig", "latin-1"]) if kind == "encoding" else "utf-8"))
    if kind == "encoding":
        at = rng.randrange(len(data))
        data[at:at] = rng.choice([b"\xff\xfe", b"\xe9", "é".encode("utf-16"), b"\xed\xa0\x80", b"\x00"])
    elif kind == "truncated":
        del data[rng.randrange(len(data)) :]
    elif kind == "bits":
        for _ in range(rng.choice([1, 8, 64])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "lines":
        parts = bytes(data).split(b"\n")
        rng.shuffle(parts)
        data = bytearray(rng.choice([b"\r\n", b"\n\n", b"\x0b", b""]).join(parts))
    path.write_bytes(data)
    return f"{name}, {kind}"


def count_lines(path) -> int:
    """Lines that are not blank, as a reader of bytes sees them."""
    data = path.read_bytes()
    return sum(bool(line.strip()) for line in data.split(b"\n"))


def survive(path, store: Store, what: str) -> None:
    """Read a damaged file into a store and check the accounts."""
    places: list[tuple[str, str]] = []
    read = LogCounts(dropped=DropLog(lambda reason, where: places.append((reason, where))))
    before, refused = time.process_time(), ""
    try:
        reading = Reading("me")
        store.add_events(entries(find_logs([path], read.dropped, reading), read, reading, store.find_exchange))
    except SourceError as error:
        refused = str(error)
    spent = time.process_time() - before
    assert spent < SLOWEST, (what, spent)
    assert len(places) == sum(read.dropped.values()), what
    assert all(where.startswith(f"{path.name} line ") for _, where in places), (what, places)
    if refused:
        assert "\n" not in refused and (read.events == 0), what
        return
    # Every row of the file gives an event or is on the list with its line; none is lost between.
    listed = {where for _, where in places}
    last, format_name = LastReactions(Dropped()), ""
    (log,) = find_logs([path], Dropped(), reading)
    for where, row in log_rows(log, reading, Dropped()):
        format_name = formats.recognise(row, format_name)
        state, kind = ParseState(where, "me"), formats.FORMATS.get(format_name)
        try:
            found = list(kind.read(row, state, last)) if kind is not None and kind.read is not None else []
        except UnusableError:
            found = []
        apart = kind is not None and kind.detached is not None
        assert found or apart or where in listed, (what, where)
    # Every line is a row or dropped, and every row gives events or is left out with a reason.
    of_lines = Dropped()
    lines = sum(1 for _ in streams.rows(path, of_lines))
    assert read.rows == read.used + read.left_out, (what, read)
    assert sum(read.dropped.values()) >= read.left_out, what
    with path.open("rb") as file:
        by_line = "encoding" not in what and streams._is_by_line(file)
    if by_line:
        assert lines + sum(of_lines.values()) == count_lines(path), what


def rounds(tmp_path, count: int, seed: int) -> None:
    rng = random.Random(seed)
    with Store(tmp_path / "s.db") as store:
        store.file.connection.execute("PRAGMA synchronous = OFF")
        for number in range(count):
            path = tmp_path / rng.choice(["log.json", "log.jsonl"])
            what = mutated(rng, path)
            try:
                survive(path, store, f"{number}: {what}")
            except PlusError:
                raise
            except Exception as error:
                raise AssertionError(f"{number}: {what} crashed: {error!r}") from error


def test_three_hundred_damaged_logs(tmp_path):
    rounds(tmp_path, 300, 0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_damaged_logs(tmp_path):
    rounds(tmp_path, 10_000, 1)


def test_a_crash_would_be_noticed(tmp_path, monkeypatch):
    """The planted fault: a reader that does not check what it is given."""
    careless = formats.FORMATS["sharegpt"]._replace(
        read=lambda row, place, last: iter([row["conversations"][0]["value"].upper()][:0])
    )
    monkeypatch.setitem(formats.FORMATS, "sharegpt", careless)
    with pytest.raises(AssertionError, match="crashed"):
        rounds(tmp_path, 1000, 0)


def test_a_row_that_is_lost_without_a_count_would_be_noticed(tmp_path, monkeypatch):
    write(tmp_path / "log.jsonl", [*LOGS["openai_chat"][0], {"user": "x"}])
    with Store(tmp_path / "s.db") as store:
        survive(tmp_path / "log.jsonl", store, "sound")
        monkeypatch.setattr("plus.feedback.log_row.ParseState.drop", lambda self, reason, name=None: None)
        with pytest.raises(AssertionError, match=r"log.jsonl line 3"):
            survive(tmp_path / "log.jsonl", store, "lost")
