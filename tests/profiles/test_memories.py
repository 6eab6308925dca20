"""Memories of other assistants: in as the user's own, and out in their formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plus.errors import ProfileError
from plus.profiles.export import export
from plus.profiles.imports import Imported, add, read
from plus.profiles.saving import save_model, save_user, set_rule
from plus.profiles.store import Store
from plus.types import Dropped, Entry, Event

SAID = ("Sails on Sundays.", "Is called Mo", "No puns, please!")
DATES = ("2026-02-03T00:00:00Z", "2026-05-06T00:00:00Z", None)
MEM0 = [
    {"id": str(n), "memory": text, "user_id": "mo", "created_at": date}
    for n, (text, date) in enumerate(zip(SAID, DATES, strict=True))
]
PAM = [
    {"content": text, "temporal": {"created_at": date}} if date else {"content": text}
    for text, date in zip(SAID, DATES, strict=True)
]
BLOCKS = [{"label": "persona", "value": "I am Sam."}, {"label": "human", "value": "\n".join(SAID)}]
FILES = {
    "list.txt": "[2026-02-03] - Sails on Sundays.\n[2026-05-06] - Is called Mo\n\n[no date] - No puns, please!\n",
    "USER.md": "# Me\n\n- Sails on Sundays.\n* Is called Mo\n1. No puns, please!\n---\n",
    "human.md": "\n".join(SAID),
    "mem0.json": json.dumps({"results": [*MEM0, {"id": "4"}]}),
    "pam.json": json.dumps({"schema": "portable-ai-memory", "owner": {"id": "mo"}, "memories": PAM}),
    "letta.json": json.dumps({"blocks": BLOCKS}),
    "honcho.json": json.dumps({"peer_id": "mo", "peer_card": SAID}),
}
HOSTILE = {
    "a.json": b'{"results": [7, null, {"memory": ""}, {"memory": "x", "created_at": "soon"}]}',
    "b.json": b'{"results": ' + b"[" * 100_000,
    "c.txt": b"\xff\xfe[2026] - x",
    "d.json": b'{"schema": "other"}',
    "e.md": b"\n\n# only\n## headings\n",
}


def brought(store: Store, path: Path, user_id: str = "") -> Imported:
    receipt = Imported()
    return add(store, read(path, receipt.dropped, None, user_id), receipt)


@pytest.mark.parametrize("name", FILES)
def test_each_memory_is_a_sentence_of_the_users_own(tmp_path, path, name):
    (tmp_path / name).write_text(FILES[name])
    with Store(path) as store:
        assert brought(store, tmp_path / name, "mo").new == 1
        version = store.current("mo")
        assert [s.text for s in version.sentences] == ["Sails on Sundays.", "Is called Mo.", "No puns, please!"]
        assert {s.origin for s in version.sentences} == {"user"} and version.origin == "user"
        if name in ("list.txt", "mem0.json", "pam.json"):
            assert version.created == 1778025600.0, "the newest date"
            assert version.note == f"brought in from {name}; dated 2026-02-03, 2026-05-06, no date"
        # A model's update keeps them; the same file again changes nothing, and a second adds what is new.
        store.add_events([Entry("mo", Event("e1", "message", "hello"), "", False)])
        save_model(store, store.read("mo"), "Talks of boats.")
        assert brought(store, tmp_path / name, "mo").unchanged == 1
        (tmp_path / "more.txt").write_text("[2026-06-01] - Sails on Sundays.\n[2026-06-01] - Bakes bread.\n")
        assert brought(store, tmp_path / "more.txt", "mo").edited == 1
        assert (
            store.current("mo").text == "Sails on Sundays. Is called Mo. No puns, please! Talks of boats. Bakes bread."
        )


def test_a_file_that_names_nobody_asks_whose_it_is(tmp_path, path):
    (tmp_path / "list.txt").write_text(FILES["list.txt"])
    with (
        Store(path) as store,
        pytest.raises(ProfileError, match=r"list\.txt does not say whose .*--user_id"),
    ):
        brought(store, tmp_path / "list.txt")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_counted_or_refused_in_one_line(tmp_path, path, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    with Store(path) as store:
        if name == "c.txt":
            with pytest.raises(ProfileError, match=r"no UTF-8 at byte 0; save it as UTF-8$"):
                brought(store, tmp_path / name, "mo")
        else:
            assert brought(store, tmp_path / name, "mo").dropped
        assert store.find("mo") is None or store.current("mo").text == "x."


FILE_OF = {"memory": "out.txt", "pam": "out.json", "mem0": "out.json", "letta": "out.json", "honcho": "out.json"}
ANY = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=30) | st.text(
    "ab .#-*[]:\n!`1", max_size=20
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=5))
@pytest.mark.parametrize("form", FILE_OF)
def test_out_and_in_again_are_the_same_sentences_or_counted(tmp_path_factory, form, texts):
    folder = tmp_path_factory.mktemp("m")
    with Store(folder / "a.db") as one, Store(folder / "b.db") as other:
        save_user(one, "mo", "\n".join(texts), 0)
        set_rule(one, "mo", "forbid", "x")
        said = [sentence.text for sentence in one.current("mo").sentences]
        found = export(one, form, folder / FILE_OF[form], ["mo"])
        lost = {reason: count for reason, count in found.left_out.items() if "(not of this format)" not in reason}
        assert found.left_out["forbidden (not of this format)"] == 1
        if not said:
            return
        receipt = brought(other, folder / FILE_OF[form], "mo")
        back = [sentence.text for sentence in other.current("mo").sentences] if receipt.new else []
        # A memory ends as a sentence does; nothing else changes but what was counted.
        wanted = [text if text[-1] in ENDS else f"{text}." for text in said]
        if not lost:
            assert normal(back) == normal(wanted)
        else:
            assert sum(lost.values()) >= len(set(wanted) - set(back))


ENDS = ".!?\u2026\u3002\uff01\uff1f\u061f\u0964"


def normal(texts: list[str]) -> str:
    return " ".join(" ".join(texts).split())


def test_letta_and_honcho_are_written_as_they_read_them(tmp_path):
    with Store(tmp_path / "p.db") as store:
        save_user(store, "mo", "Sails on Sundays. Is called Mo.", 0)
        export(store, "letta", tmp_path / "letta.json")
        export(store, "honcho", tmp_path / "honcho.json")
    (block,) = json.loads((tmp_path / "letta.json").read_text())["blocks"]
    assert (block["label"], block["value"], block["limit"]) == ("human", "- Sails on Sundays.\n- Is called Mo.", 20_000)
    assert json.loads((tmp_path / "honcho.json").read_text()) == {
        "peer_id": "mo", "peer_card": ["Sails on Sundays.", "Is called Mo."],
    }  # fmt: skip


def test_a_memory_file_is_one_persons(tmp_path, path):
    with Store(path) as store:
        for user in ("mo", "li"):
            save_user(store, user, "Sails.", 0)
        for form in ("memory", "pam", "letta", "honcho"):
            with pytest.raises(ProfileError, match="one person's; name the user with --users"):
                export(store, form, tmp_path / form)
        assert export(store, "mem0", tmp_path / "m.json").users == 2
    assert {row["user_id"] for row in json.loads((tmp_path / "m.json").read_text())["results"]} == {"mo", "li"}
    assert next(read(tmp_path / "m.json", Dropped())).version.text == "Sails."
