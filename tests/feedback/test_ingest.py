"""Every log as its program writes it becomes the events that it holds; the same again adds nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.counting import PEAK_KB, calls
from support.logs import (
    CAT,
    LOGS,
    PROMPT,
    chatgpt,
    langfuse_observation,
    langfuse_score,
    langfuse_trace,
    open_webui_chat,
    open_webui_feedback,
    write,
)
from support.running import ENVIRONMENT, data_of, plus

from plus.doors import resolve
from plus.errors import SourceError
from plus.feedback.ingest import LogCounts, entries
from plus.feedback.log_files import Reading, find_logs
from plus.profiles.store import Store
from plus.types import Preference, Reaction, Turn


def ingest(*paths, user_id="me", store=None, **reading):
    """(what was read, the entries); into `store` where one is given."""
    read, how = LogCounts(), Reading(user_id, **reading)
    logs = find_logs(paths, read.dropped, how)
    if store is None:
        return read, list(entries(logs, read, how))
    return read, store.add_events(entries(logs, read, how, store.find_exchange))


def contents(found, kind):
    return [entry.event.content for entry in found if entry.event.kind == kind]


@pytest.mark.parametrize("ending", ["jsonl", "json", "pretty.json", "jsonl.gz"])
@pytest.mark.parametrize("name", LOGS)
def test_each_format_is_known_by_its_content(tmp_path, name, ending):
    rows, kinds = LOGS[name]
    path = tmp_path / f"log.{ending}"
    write(path.with_suffix("") if path.suffix == ".gz" else path, rows, "pretty" in ending)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    read, found = ingest(path)
    assert list(read.formats) == [name] and dict(read.kinds) == kinds
    with Store(tmp_path / "s.db") as store:
        first, again = store.add_events(found), ingest(path, store=store)[1]
        assert (first.added, again.added, again.known) == (len(found), 0, len(found))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_text_comes_through_every_format(tmp_path_factory, data):
    """The words of a row are replaced by any others; each is found again in the events, none is lost on the way."""
    name = data.draw(st.sampled_from(sorted(LOGS)))
    text = data.draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
    quoted = json.dumps(text)[1:-1]
    rows = json.loads(json.dumps(LOGS[name][0]).replace("A cat.", quoted))
    path = tmp_path_factory.mktemp("any") / data.draw(st.sampled_from(["log.json", "log.jsonl"]))
    write(path, rows)
    read, found = ingest(path)
    assert dict(read.kinds) == LOGS[name][1]
    said = json.dumps([entry.event.content for entry in found], default=vars)
    assert quoted in said or "A cat." not in json.dumps(LOGS[name][0])  # "y" stands in "Bye" anyway.


def test_chatgpt_branches_become_weak_pairs(tmp_path):
    write(tmp_path / "conversations.json", [chatgpt()])
    read, found = ingest(tmp_path / "conversations.json")
    assert contents(found, "message") == [
        (Turn("user", "Name a pet."), Turn("assistant", "A cat.")),
        (Turn("user", "Which animal is this?"), Turn("assistant", "A dog, since dogs play.")),
    ]
    regenerated, edited = (entry for entry in found if entry.event.kind == "choice")
    assert regenerated.event.content == Preference("Name a pet.", "A cat.", "A snake.")
    earlier = (Turn("user", "Name a pet."), Turn("assistant", "A cat."))
    assert edited.event.content == Preference("Which animal is this?", "A dog, since dogs play.", "Because.", earlier)
    assert [one.event.source for one in (regenerated, edited)] == ["chatgpt:regenerated", "chatgpt:edited"]
    assert regenerated.held_out is False and regenerated.session_id == "c1"
    assert dict(read.dropped) == {
        "parts of messages that are no text": 1,  # the picture
        "turns of tools": 1, "messages on branches that were left": 1,
    }  # fmt: skip


def test_a_sharded_export_is_one_and_grows(tmp_path):
    for number, name in enumerate(["c1", "c2"]):
        write(tmp_path / f"conversations-00{number}.json", [chatgpt(name)])
    write(tmp_path / "message_feedback.json", [{"unrelated": 1}])
    (tmp_path / "user.json").write_text('{"id": "user-1", "email": "a@b.c"}')
    with Store(tmp_path / "s.db") as store:
        _, added = ingest(tmp_path, user_id="", store=store)
        assert added.added == 8 and list(store.users()) == ["user-1"]
        longer = chatgpt("c1")
        longer["mapping"]["c1-a2"]["children"] = ["q3"]
        asked = {"id": "q3", "author": {"role": "user"}, "content": {"content_type": "text", "parts": ["More."]}}
        longer["mapping"]["q3"] = {"id": "q3", "parent": "c1-a2", "children": [], "message": asked}
        write(tmp_path / "conversations-000.json", [{**longer, "current_node": "q3"}])
        assert ingest(tmp_path, user_id="", store=store)[1].added == 1  # the new question alone


def test_a_circle_and_an_unknown_current_node_are_read_as_far_as_they_go(tmp_path):
    row = chatgpt(current_node="nobody")
    row["mapping"]["c1-root"]["parent"] = "c1-a2"
    write(tmp_path / "c.json", [row])
    read, found = ingest(tmp_path / "c.json")
    assert read.repaired and len(contents(found, "message")) == 2


def test_thumbs_of_open_webui_are_reactions(tmp_path):
    write(tmp_path / "chats.json", [open_webui_chat()])
    _, found = ingest(tmp_path / "chats.json")
    assert {(one.completion, one.label) for one in contents(found, "reaction")} == {
        ("A cat.", True), ("A snake, which is a long story.", False),
    }  # fmt: skip
    assert contents(found, "choice") == [Preference("Name a pet.", "A cat.", "A snake, which is a long story.")]
    assert contents(found, "remark") == ["Short. I like that."]


def test_the_last_of_contradictory_reactions_wins_and_the_others_are_counted(tmp_path):
    rows = [open_webui_feedback(rating=-1, at=1_700_000_300), open_webui_feedback(rating=1), open_webui_feedback("zzz")]
    write(tmp_path / "feedback.json", rows)
    read, found = ingest(tmp_path / "feedback.json")
    assert [one.label for one in contents(found, "reaction")] == [False]
    assert dict(read.dropped) == {"reactions that a later one overrules": 1, "reactions to unknown messages": 1}


def test_langfuse_scores_find_their_observations_in_another_file(tmp_path):
    write(tmp_path / "a_scores.jsonl", [
        langfuse_score(value=1), langfuse_score(value=0, at="2024-05-30 00:00:00.000000"), langfuse_score("lost"),
        langfuse_score("t8", value=0.37), langfuse_score("t9", source="EVAL"),
    ])  # fmt: skip
    write(tmp_path / "observations.jsonl", [langfuse_observation(), langfuse_observation("o2", "t8")])
    read, found = ingest(tmp_path)
    earlier = contents(found, "reaction")
    assert earlier == [Reaction("Name a bird.", "A tit.", False)] and contents(found, "remark") == ["nice"]
    assert dict(read.dropped) == {
        "reactions that a later one overrules": 1, "reactions to unknown messages": 1,
        "reactions that are neither yes nor no": 1, "scores of an evaluator ('thumb')": 1,
    }  # fmt: skip
    assert read.dropped.first["reactions to unknown messages"] == "a_scores.jsonl line 3"


def test_langfuse_tables_also_come_as_csv(tmp_path):
    trace = langfuse_trace()
    cells = [str(trace["id"]), "ann", json.dumps(trace["input"]), json.dumps(trace["output"])]
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    (tmp_path / "t.csv").write_text(f"id,userId,input,output\n{quoted}\n")
    assert contents(ingest(tmp_path / "t.csv")[1], "message") == [
        (Turn("user", "Name a pet."), Turn("assistant", "A cat."))
    ]


def test_a_log_that_repeats_the_conversation_with_every_call_gives_each_exchange_once(tmp_path):
    talk = [PROMPT, CAT, {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "It purrs."}]
    write(tmp_path / "calls.jsonl", [{"user": "ann", "messages": talk[:2]}, {"user": "ann", "messages": talk}])
    with Store(tmp_path / "s.db") as store:
        added = ingest(tmp_path / "calls.jsonl", store=store)[1]
        assert (added.added, added.known) == (2, 1)


def test_clocks_that_run_backwards_are_set_right_and_counted(tmp_path):
    talk = [{**PROMPT, "timestamp": 2e9}, CAT, {"role": "user", "content": "And?", "timestamp": 1e9}]
    write(
        tmp_path / "c.jsonl",
        [{"user": "ann", "messages": talk}, {"user": "ann", "messages": [PROMPT], "created": "soon"}],
    )
    read, found = ingest(tmp_path / "c.jsonl")
    assert [entry.event.time for entry in found] == [2e9, 2e9, None]
    assert dict(read.repaired) == {"times that run backwards": 1, "times that cannot be read": 1}


def test_users_without_ids_need_a_name(tmp_path):
    write(tmp_path / "c.jsonl", [{"messages": [PROMPT, CAT]}, {"messages": [PROMPT], "user": "ann"}])
    read, found = ingest(tmp_path / "c.jsonl", user_id="")
    why = "rows without a user (say whose they are with --user_id or --user_id_column)"
    assert dict(read.dropped) == {why: 1} and len(found) == 1
    write(tmp_path / "d.jsonl", [{"messages": [PROMPT, CAT]}])
    with pytest.raises(SourceError, match=r"nothing can be used; 1 x rows without a user .*--user_id.*d.jsonl line 1"):
        ingest(tmp_path / "d.jsonl", user_id="")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"mapping2": {}, "current_node": "x"}',
         r"columns: mapping2, current_node\); nearest: chatgpt \(missing mapping\)"),
        ('{"input": {}, "preferred_output": []}', r"openai_preference \(missing non_preferred_output\)"),
        ('{"a": 1}', r"of no known format \(columns: a\); say with --map which column is which"),
        ('{"messages": "hi"}', r"openai_chat \(messages in another shape\)"),
        ("hello\n", r"holds no JSON object \(first: 1 x lines that are no JSON object"),
        ("", "it is empty"),
    ],
)  # fmt: skip
def test_an_unknown_format_names_the_nearest_and_nothing_is_written(tmp_path, text, line):
    (tmp_path / "x.json").write_text(text)
    write(tmp_path / "good.jsonl", LOGS["rows"][0])
    with pytest.raises(SourceError, match=line):
        ingest(tmp_path / "good.jsonl", tmp_path / "x.json")


def test_the_receipt_and_the_list_of_what_was_dropped(tmp_path):
    (tmp_path / "c.jsonl").write_text(
        json.dumps({"user": "ann", "messages": [PROMPT, CAT]}) + '\nnope\n{"user": "b"}\n'
    )
    done = plus(
        "ingest", tmp_path / "c.jsonl", "--store", tmp_path / "s.db", "--json", "--dropped_to", tmp_path / "d.jsonl"
    )
    assert done.returncode == 0, done.stderr
    receipt = data_of(done.stdout)
    assert receipt == {
        "format": "openai_chat", "users": 1, "events": 1, "kinds": {"message": 1},
        "dropped": {"lines that are no JSON object": 1, "rows of no known format": 1}, "mended": {},
        "rows": 2, "rows_used": 1, "rows_left_out": 1, "unread": {}, "added": 1, "changed": 0, "known": 0, "refused": 0,
    }  # fmt: skip
    listed = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert [one["where"] for one in listed] == ["c.jsonl line 2", "c.jsonl line 3"]
    again = plus("ingest", tmp_path / "c.jsonl", "--store", tmp_path / "s.db", "--dropped_to", tmp_path / "c.jsonl")
    assert again.returncode == 2 and "not overwritten" in again.stderr and "nope" in (tmp_path / "c.jsonl").read_text()
    write(tmp_path / "ups.jsonl", LOGS["rows"][0])
    assert "all 1 reactions are up" in plus("ingest", tmp_path / "ups.jsonl", "--store", tmp_path / "s.db").stderr


def test_the_python_door_gives_the_receipt_of_the_command(tmp_path):
    write(tmp_path / "ups.jsonl", LOGS["rows"][0])
    with Store(tmp_path / "s.db") as store:
        report = resolve("ingest")([str(tmp_path / "ups.jsonl")], store, dropped_to=tmp_path / "d.jsonl")
        assert (report.one_sided, report.added.added, list(store.users())) == ("up", 2, ["ann"])
    done = plus("ingest", tmp_path / "ups.jsonl", "--store", tmp_path / "t.db", "--json")
    assert data_of(done.stdout) == report.to_json() and (tmp_path / "d.jsonl").read_text() == ""


def test_killed_midway_and_begun_again_equals_one_go(tmp_path):
    rng = random.Random(0)
    rows = [
        {"user": f"u{rng.randrange(500)}", "messages": [{**PROMPT, "content": f"Say {n}."}, CAT]} for n in range(16_000)
    ]
    write(tmp_path / "c.jsonl", rows)
    command = [sys.executable, "-m", "plus", "ingest", str(tmp_path / "c.jsonl"), "--store"]
    process = subprocess.Popen([*command, str(tmp_path / "killed.db")], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not count(tmp_path / "killed.db") >= 4000 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < count(tmp_path / "killed.db") < 16_000
    for name in ("killed.db", "whole.db"):
        subprocess.run([*command, str(tmp_path / name)], env=ENVIRONMENT, check=True, capture_output=True)
    assert everything(tmp_path / "killed.db") == everything(tmp_path / "whole.db")


def count(path) -> int:
    if not path.exists():
        return 0
    try:
        with Store(path, create=False) as store:
            return store.row("SELECT count(*) FROM events")[0]
    except (ValueError, TypeError):
        return 0


def everything(path) -> list:
    with Store(path, create=False) as store:
        return list(
            store.rows(
                "SELECT u.user_id, event_id, session_id, kind, time, source, content, held_out"
                " FROM events e JOIN users u ON u.number = e.user ORDER BY e.number"
            )
        )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
TALKS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5)


def in_every_format(talk: list[tuple[str, str]]) -> dict[str, dict]:
    """One row of each format that holds a conversation, with the same exchanges."""
    said = [turn for one, two in talk for turn in (("user", one), ("assistant", two))]
    messages = [{"role": role, "content": text} for role, text in said]
    mapping, history = {}, {}
    for number, (role, text) in enumerate(said):
        links = {
            "parent": str(number - 1) if number else None,
            "children": [str(number + 1)] if number + 1 < len(said) else [],
        }
        message = {"id": f"m{number}", "author": {"role": role}, "content": {"content_type": "text", "parts": [text]}}
        mapping[str(number)] = {"id": str(number), "message": message, **links}
        history[str(number)] = {
            "id": f"m{number}",
            "role": role,
            "content": text,
            "parentId": links["parent"],
            "childrenIds": links["children"],
        }
    newest = str(len(said) - 1)
    return {
        "openai_chat": {"user": "ann", "messages": messages},
        "sharegpt": {"user_id": "ann", "conversations": [
            {"from": {"user": "human", "assistant": "gpt"}[role], "value": text} for role, text in said]},
        "wildchat": {"conversation_hash": "h", "hashed_ip": "ann", "conversation": messages},
        "chatgpt": {"conversation_id": "c", "mapping": mapping, "current_node": newest},
        "open_webui": {"id": "w", "user_id": "ann", "chat": {"history": {"messages": history, "currentId": newest}}},
        "langfuse": {"id": "t", "userId": "ann", "input": messages[:-1], "output": messages[-1]},
    }  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(talk=TALKS, pretty=st.booleans())
def test_the_same_talk_is_the_same_events_in_every_format(tmp_path_factory, talk, pretty):
    folder = tmp_path_factory.mktemp("same")
    for name, row in in_every_format(talk).items():
        write(folder / f"{name}.json", [row], pretty)
        read, found = ingest(folder / f"{name}.json", user_id="ann")
        assert list(read.formats) == [name] and not read.dropped
        assert contents(found, "message") == [(Turn("user", one), Turn("assistant", two)) for one, two in talk]
        assert {entry.user_id for entry in found} == {"ann"}


def branching(path: Path, exchanges: int) -> Path:
    """A ChatGPT export with one conversation, each of its answers regenerated once."""
    mapping = {}
    for number in range(exchanges):
        ask, kept, left, after = f"q{number}", f"a{number}", f"x{number}", f"q{number + 1}"
        for name, role, parent, children in (
            (ask, "user", f"a{number - 1}", [left, kept]), (kept, "assistant", ask, [after]),
            (left, "assistant", ask, []),
        ):  # fmt: skip
            said = {"id": name, "author": {"role": role}, "content": {"content_type": "text", "parts": [name]}}
            mapping[name] = {"id": name, "parent": parent, "children": children, "message": said}
    current = f"a{exchanges - 1}"
    write(path, [{"conversation_id": "c", "mapping": mapping, "current_node": current}])
    return path


def test_a_very_long_tree_with_a_branch_at_every_message_is_read_in_work_that_grows_with_it(tmp_path):
    """5,000 exchanges, each answer regenerated once."""
    read, _ = ingest(branching(tmp_path / "c.json", 5000))
    assert dict(read.kinds) == {"message": 5000, "choice": 5000}
    once, twice = (calls(ingest, branching(tmp_path / f"{n}.json", n)) for n in (500, 1000))
    assert twice <= 2.1 * once, "twice the exchanges, twice the calls"


def test_the_annotations_of_wildfeedback_are_one_row_an_utterance(tmp_path):
    """Two conversations one after the other, in the file's spelling; the user has to be named."""
    said = [("User", "Name a pet.", False, False), ("Agent", "A snake.", False, False),
            ("User", "No, a cat!", False, True),
            ("Agent", "A cat.", False, False), ("User", "Thanks", True, False),
            ("User", "Hi", False, False), ("Agent", "Hello", False, False), ("User", "?", True, True)]  # fmt: skip
    rows = [
        {"TurnId": 1, "UtterranceId": number % 5, "Role": role, "Content": text, "Preceeding": "YES",
         "Satisfaction": sat,
         "Satisfaction-Justificiation": "", "Disatisfaction": dsat, "Dissatisfaction-Justificiation": ""}
        for number, (role, text, sat, dsat) in enumerate(said)
    ]  # fmt: skip
    write(tmp_path / "sat_dsat_annotation.json", rows)
    read, found = ingest(tmp_path / "sat_dsat_annotation.json", user_id="ann")
    assert dict(read.formats) == {"wildfeedback": 2} and dict(read.kinds) == {"message": 5, "reaction": 2}
    assert [(one.prompt, one.completion, one.label) for one in contents(found, "reaction")] == [
        ("Name a pet.", "A snake.", False),
        ("No, a cat!", "A cat.", True),
    ]
    assert dict(read.dropped) == {"turns labelled satisfied and dissatisfied at once": 1}


def test_the_pairs_of_wildfeedback_as_they_are_published(tmp_path):
    talk = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "A pet?"}]
    row = {
        "conversations": talk,
        "chosen": {"from": "gpt", "value": "A cat."},
        "rejected": {"from": "gpt", "value": "A snake."},
    }
    write(tmp_path / "wildfeedback.json", [row])
    read, found = ingest(tmp_path / "wildfeedback.json", user_id="ann")
    (pair,) = contents(found, "choice")
    assert (pair.prompt, pair.chosen, pair.rejected, len(pair.earlier)) == ("A pet?", "A cat.", "A snake.", 2)
    assert dict(read.formats) == {"wildfeedback": 1}


def test_a_draw_in_open_webui_is_no_thumb(tmp_path):
    write(tmp_path / "f.json", [open_webui_feedback(rating=0), open_webui_feedback("2", rating=-1)])
    read, found = ingest(tmp_path / "f.json")
    assert [one.label for one in contents(found, "reaction")] == [False] and sum(read.dropped.values()) == 1


def test_a_log_without_names_for_its_conversations_gives_each_of_several_exchanges_one(tmp_path):
    def log(*texts: str) -> dict:
        return {
            "user_id": "ann",
            "messages": [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)],
        }

    write(
        tmp_path / "l.jsonl",
        [
            log("Hi", "Hello", "A", "a"),
            log("Hi", "Hello", "B", "b"),
            log("Hi", "Hello", "A", "a", "C", "c"),
            log("Hi", "Hello"),
        ],
    )
    _, found = ingest(tmp_path / "l.jsonl")
    names = [entry.session_id for entry in found]
    # The third row goes on with the first, and the last repeats how both begin.
    assert len(set(names)) == 2 and names[0] == names[1] == names[4] == names[6] != names[2] and names[7] in names


def plain_rate(log: Path, most: int = 2**25) -> float:
    """Megabytes a CPU second of a plain pipeline: parse, hash and store the exchanges of a log, and nothing else."""
    started, read = time.process_time(), 0
    with closing(sqlite3.connect(":memory:")) as db, log.open() as file:
        db.execute("CREATE TABLE events (id TEXT PRIMARY KEY, user_id TEXT, content TEXT)")
        while read < most:
            line = file.readline()
            read += len(line)
            row = json.loads(line)
            said = [turn["content"] for turn in row["messages"]]
            for content in map(json.dumps, zip(said[::2], said[1::2], strict=True)):
                name = hashlib.sha256(f"{row['session_id']}{content}".encode()).hexdigest()
                db.execute("INSERT INTO events VALUES (?, ?, ?)", (name, row["user_id"], content))
    return read / 1e6 / (time.process_time() - started)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_gibibyte_in_bounded_memory_at_a_ninth_of_a_plain_pipelines_speed(tmp_path):
    """Generated OpenAI chat JSONL into a new store, by the real command, beside a plain pipeline before and after."""
    line_of = [
        json.dumps(
            {
                "user_id": f"u{user}",
                "session_id": f"s{user}",
                "messages": [
                    {"role": ("user", "assistant")[n % 2], "content": f"NUMBER {n} " + "word " * 120} for n in range(6)
                ],
            }
        )
        for user in range(500)
    ]
    size, number = 0, 0
    with (tmp_path / "log.jsonl").open("w") as file:
        while size < 2**30:
            size += file.write(line_of[number % 500].replace("NUMBER", str(number)) + "\n")
            number += 1
    code = (
        "import resource, sys; sys.argv = ['plus', 'ingest', sys.argv[1], '--store', sys.argv[2], '--json']\n"
        "from plus.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        f"print({PEAK_KB}, used.ru_utime + used.ru_stime, file=sys.stderr)"
    )
    plain = plain_rate(tmp_path / "log.jsonl")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log.jsonl"), str(tmp_path / "p.db")],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    kilobytes, seconds = map(float, done.stderr.split()[-2:])
    plain, rate = min(plain, plain_rate(tmp_path / "log.jsonl")), size / 1e6 / seconds
    print(f"\n{size:,} bytes: {kilobytes / 1024:.0f} MiB, {rate:.1f} MB a CPU second, a plain pipeline {plain:.1f}")
    assert kilobytes * 1024 <= 80e6 and rate >= plain / 9
    assert data_of(done.stdout)["events"] == 3 * number
