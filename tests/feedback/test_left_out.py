"""What is said and not read is counted with its place: files, rows, turns, parts and columns."""

from __future__ import annotations

import gzip
import json
import zipfile

import pytest
from support.ingesting import contents, read, read_rows, said
from support.logs import CAT, LOGS, PROMPT, chatgpt, claude_chat, write
from support.running import data_of, plus

from plus.errors import SettingError, SourceError
from plus.feedback.log_files import UNREAD
from plus.sources.check import check


def test_turns_of_systems_tools_and_unknown_roles_are_counted_and_agents_are_read(tmp_path):
    talk = [{"role": "system", "content": "Be terse."}, {"role": "customer", "content": "A pet?"},
            {"role": "agent", "content": "A cat."}, {"role": "tool", "content": "cats"},
            {"role": "narrator", "content": "Silence."}, {"role": "tool", "content": ""},
            {"role": "assistant", "content": "Looking", "tool_calls": [{"id": 1}]}]  # fmt: skip
    counts, found = read_rows(tmp_path, {"messages": talk})
    assert said(found) == [("A pet?", "A cat.")]
    assert dict(counts.dropped) == {
        "turns of the system": 1, "turns of tools": 1, "calls of tools": 1,
        "messages in an unknown role ('narrator')": 1,
    }  # fmt: skip


def test_after_many_names_the_others_share_a_reason(tmp_path):
    talk = [{"role": f"role{n}", "content": "x"} for n in range(500)]
    counts, _ = read_rows(tmp_path, {"messages": [PROMPT, CAT, *talk]})
    assert sum(counts.dropped.values()) == 500 and len(counts.dropped) < 60


def test_columns_that_hold_something_and_are_not_read_are_named(tmp_path):
    row = {"user_id": "ann", "prompt": "A pet?", "chosen": "A cat.", "rejected": "A bat.", "history": [1], "note": ""}
    counts, _ = read_rows(tmp_path, row, {**row, "prompt": "Another?", "mood": "good"})
    assert dict(counts.unread) == {"history": 2, "mood": 1}
    write(tmp_path / "rows.jsonl", [row, row])
    found = check(tmp_path / "rows.jsonl")
    assert "columns that are not read: history (2 rows); --map says which of them is which" in found.notes()
    assert "1 rows say what an earlier row of the same user says" in found.notes()
    assert found.to_json()["unread"] == {"history": 2}


def folder_of_all(folder):
    """A folder with sound, cut, foreign and unknown files, and archives."""
    folder.mkdir()
    write(folder / "conversations.json", [chatgpt()])
    (folder / "cut.json").write_text('[{"mapping": {"a": ')
    (folder / "empty.json").write_text("")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    (folder / "user.json").write_text('{"id": "user-1"}')
    (folder / "other.json").write_text('[{"a": 1}]')
    packed = gzip.compress(json.dumps([claude_chat()]).encode())
    (folder / "whole.json.gz").write_bytes(packed)
    (folder / "broken.json.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "none.zip").write_bytes(b"PK no archive")
    with zipfile.ZipFile(folder / "good.zip", "w") as archive:
        archive.writestr("in/claude.json", json.dumps([claude_chat("k2")]))
        archive.writestr("in/readme.txt", "hello")
    return folder


def test_a_folder_is_read_past_every_file_that_cannot_be_and_each_is_listed(tmp_path):
    folder = folder_of_all(tmp_path / "all")
    listed = tmp_path / "left.jsonl"
    done = plus("ingest", folder, "--store", tmp_path / "s.db", "--user_id", "ann", "--json", "--dropped_to", listed)
    assert done.returncode == 0, done.stderr
    assert data_of(done.stdout)["kinds"]["message"] == 6
    places = [json.loads(line)["where"] for line in listed.read_text().splitlines()]
    for name in (
        "cut.json",
        "empty.json",
        "photo.png",
        "other.json",
        "broken.json.gz",
        "none.zip",
        "good.zip/in/readme.txt",
    ):
        assert any(place.startswith(f"{name} line 1") for place in places), name
    assert not any("user.json" in place or "whole" in place for place in places if ": it" in place)


def test_an_archive_of_an_export_is_read_with_its_account_and_one_of_something_else_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations.json", json.dumps([chatgpt()]))
        archive.writestr("user.json", json.dumps({"id": "user-1"}))
        archive.writestr("message_feedback.json", json.dumps(
            [{"id": "c1-a2", "conversation_id": "c1", "rating": "thumbs_down", "content": "{}"}]))  # fmt: skip
    _, found = read(tmp_path / "export.zip", user_id="")
    assert {entry.user_id for entry in found} == {"user-1"} and [one.label for one in contents(found, "reaction")] == [
        False
    ]
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.png", "x")
    with pytest.raises(SourceError, match=r"photos.zip holds no file of a known format \(photos.zip/a.png is no JSON"):
        read(tmp_path / "photos.zip")


def test_a_cut_archive_keeps_what_comes_before_the_cut(tmp_path):
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in LOGS["openai_chat"][0] * 2000).encode())
    (tmp_path / "l.jsonl.gz").write_bytes(packed[:-100])
    counts, found = read(tmp_path / "l.jsonl.gz")
    assert found and counts.dropped["files that are cut short or damaged from there on"] == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_log_in_utf_16_is_read_and_told(tmp_path, encoding, ending):
    rows = [{"user": "ann", "messages": [{**PROMPT, "content": "Ein Haustier für José?"}, CAT]}]
    text = json.dumps(rows, ensure_ascii=False) if ending == "json" else json.dumps(rows[0], ensure_ascii=False) + "\n"
    (tmp_path / f"l.{ending}").write_bytes(text.encode(encoding))
    counts, found = read(tmp_path / f"l.{ending}")
    assert said(found) == [("Ein Haustier für José?", "A cat.")]
    assert sum(counts.repaired.values()) == encoding.startswith("utf-16")


def test_one_endless_line_is_dropped_and_told_and_the_next_is_read(tmp_path):
    with (tmp_path / "l.jsonl").open("w") as file:
        file.write('{"messages": [{"role": "user", "content": "' + "x" * (40 * 2**20) + '"}]}\n')
        file.write(json.dumps({"user": "ann", "messages": [PROMPT, CAT]}) + "\n")
    counts, found = read(tmp_path / "l.jsonl")
    assert len(found) == 1 and counts.dropped.lines() == ["1 x lines of 16 MB or more (first: l.jsonl line 1)"]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"header": "Gemini Apps", "title": "Prompted x", "products": ["Gemini Apps"]}, "Google Takeout"),
        ({"id": "1", "memory": "Likes cats", "user_id": "ann"}, "plus import"),
        ({"results": [{"id": "1", "memory": "Likes cats", "user_id": "ann"}]}, "plus import"),
        ({"message_id": "m", "conversation_id": "c", "rating": "like", "app_id": "x"}, "without the texts"),
    ],
)
def test_a_known_format_that_is_not_read_is_named_with_what_to_do(tmp_path, row, what):
    with pytest.raises(SourceError, match=what):
        read_rows(tmp_path, row)


def test_a_map_reads_any_table(tmp_path):
    (tmp_path / "t.csv").write_text(
        "frage,antwort,note,wer\nEin Tier?,Eine Katze.,up,lea\nEin Tier?,Ein Wolf.,down,tim\n"
    )
    options = (
        "--map",
        "prompt=frage,completion=antwort,label=note,user_id=wer",
        "--store",
        tmp_path / "s.db",
        "--json",
    )
    done = plus("ingest", tmp_path / "t.csv", *options)
    assert done.returncode == 0, done.stderr
    receipt = data_of(done.stdout)
    assert (receipt["users"], receipt["kinds"], receipt["rows_used"]) == (2, {"reaction": 2}, 2)
    with pytest.raises(SettingError, match="no column of ours"):
        read_rows(tmp_path, {"frage": "x"}, columns="frage=prompt")
    done = plus("ingest", tmp_path / "t.csv", "--map", "prompt=frage,completion=antwort,label=stern", *options[2:])
    assert done.returncode == 2 and "stern" in done.stderr


def test_many_cut_files_among_many_sound_ones_are_each_told_and_the_sound_ones_read(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(100):
        text = json.dumps([{"user": "ann", "messages": [{**PROMPT, "content": f"Pet {number}?"}, CAT]}])
        (folder / f"{number:03}.json").write_text(text[: len(text) // 2] if number % 25 == 0 else text)
    counts, found = read(folder)
    assert (len(found), counts.rows, counts.used, counts.dropped[UNREAD]) == (96, 96, 96, 4)
    assert counts.dropped.first[UNREAD].startswith("000.json line 1: it holds no JSON object (first: 1 x items")


def test_a_transcript_with_a_broken_name_and_ranks_beyond_numbers_are_read(tmp_path):
    rows = [{**line, "sessionId": "\ud800"} for line in LOGS["claude_code"][0][1:]]
    assert said(read_rows(tmp_path, *rows)[1])
    (tree,) = json.loads(json.dumps(LOGS["oasst"][0]))
    tree["prompt"]["replies"][0]["rank"] = 10**400
    _, found = read_rows(tmp_path, tree)
    assert len(said(found)) == 2 and not contents(found, "choice")


def test_the_talks_of_a_chatbot_ui_export_are_read_each_and_what_is_no_talk_is_counted(tmp_path):
    talk = {"id": "t1", "name": "Pets", "messages": [PROMPT, CAT], "prompt": "You are kind."}
    export = {"version": 4, "history": [talk, 3, {**talk, "id": "t2"}], "folders": [], "prompts": [{"content": "x"}]}
    write(tmp_path / "e.json", export)
    counts, found = read(tmp_path / "e.json")
    assert said(found) == [("Name a pet.", "A cat.")] * 2 and len({entry.session_id for entry in found}) == 2
    assert counts.rows == 3 == counts.used + counts.left_out
    assert dict(counts.dropped) == {"rows of no known format": 1} and counts.unread["prompt"] == 2


def test_a_file_that_is_no_archive_is_not_called_empty(tmp_path):
    (tmp_path / "cut.zip").write_bytes(b"PK no archive")
    with pytest.raises(SourceError, match=r"no file of a known format .*cut\.zip.* cut short or no archive"):
        read(tmp_path / "cut.zip", user_id="ann")
