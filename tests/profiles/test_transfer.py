"""A person moved whole: every version, rule and event, what was read and what is paused; hostile files are told."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plus.errors import PlusError, ProfileError
from plus.profiles import bans, decisions
from plus.profiles.doctor import examine
from plus.profiles.erase import erase_sentence
from plus.profiles.export import export
from plus.profiles.forget import forget_user
from plus.profiles.imports import Imported, add, read
from plus.profiles.person import held
from plus.profiles.rows import profiles
from plus.profiles.saving import restore, save_model, save_user
from plus.profiles.store import Store
from plus.profiles.transfer import as_json
from plus.profiles.update import stale
from plus.types import Dropped, Entry, Event, Preference, Reaction, Turn

CONTENTS = (
    ("choice", Preference("Tea?", "Green.", "Black.\x07\u2028")),
    ("choice", Preference("Tea?", "Yes.", "No.", (Turn("user", "Hi"), Turn("assistant", "Hello")))),
    ("reaction", Reaction("Tea?", "Green.", True)),
    ("message", (Turn("user", "Hi"), Turn("assistant", "Hello"))),
    ("remark", "I moved to \u0e01\u0e23\u0e38\u0e07."),
)
SENTENCES = (
    "Likes cats.", "Sails on Sundays!", "Chose: a\nOver: b", "Is called Mo",
    "\u7528\u6237\u559c\u6b22\u732b\u3002", "- x",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=4).map("\n".join)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), TEXTS),
        st.tuples(st.just("model"), TEXTS),
        st.tuples(st.just("event"), st.sampled_from(range(len(CONTENTS))), st.booleans(), st.sampled_from([None, 1.5])),
        st.tuples(st.sampled_from(["lock", "pause", "erase", "forbid", "pause all", "restore"]), st.integers(1, 3)),
    ),
    max_size=8,
)  # fmt: skip


def do(store: Store, number: int, step: tuple) -> None:
    """One change of ann's profile; what cannot be done is not done."""
    match step:
        case "edit", text:
            current = store.current("ann") if store.find("ann") else None
            save_user(store, "ann", text, current.version if current else 0)
        case "model", text:
            save_model(store, store.read("ann"), text, "model", "run")
        case "event", which, held_out, time:
            kind, content = CONTENTS[which]
            event = Event(f"e{number}", kind, content, time, "a.jsonl")
            store.add_events([Entry("ann", event, f"talk-{which}", held_out)])
        case "lock", place:
            decisions.lock(store, "ann", store.current("ann").sentences[place - 1])
        case "forbid", place:
            decisions.forbid(store, "ann", f"Never {place}.")
        case "pause", place:
            decisions.pause(store, "ann", store.current("ann").sentences[place - 1].id)
        case "pause all", _:
            decisions.pause(store, "ann")
        case "restore", place:
            restore(store, "ann", place)
        case "erase", place:
            erase_sentence(store, "ann", store.current("ann").sentences[place - 1].id)


def state(store: Store) -> tuple:
    """All that can be asked about ann, but for where it lies."""
    whole = {key: value for key, value in held(store, "ann").items() if key != "exports"}
    user = store.user("ann")
    rows = [profile for profile in profiles(store) if profile.version.user_id == "ann"]
    return whole, user.newest, user.next_sentence, stale(store), rows, store.summary("ann")


def moved(store: Store, other: Store, names: list[str] | None = None) -> Imported:
    out = io.BytesIO()
    export(store, "full", Path(store.place), names, stdout=out)
    receipt = Imported()
    return add(other, read(Path(store.place), receipt.dropped, io.BytesIO(out.getvalue())), receipt)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_a_person_comes_back_whole(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("whole")
    with Store(folder / "a.db") as store, Store(folder / "b.db") as other:
        store.add_events([Entry("ann", Event("e", "remark", "Hello."), "", False)])
        for number, step in enumerate(steps):
            try:
                do(store, number, step)
            except (PlusError, IndexError, AttributeError):
                continue
        assert moved(store, other).new == 1
        assert state(other) == state(store)
        assert examine(other).faults == [], "the chain of hashes too"
        assert moved(store, other).unchanged == 1, "a second time nothing changes"
        assert state(other) == state(store)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "p.db") as opened:
        opened.add_events([Entry("ann", Event("e1", "choice", CONTENTS[0][1], 3.0), "talk-1", True)])
        save_user(opened, "ann", "Likes cats. Talks of health.", 0)
        opened.add_events([Entry("bob", Event("e1", "remark", "Hello."), "", False)])
        yield opened


def test_users_without_a_summary_come_too_and_only_those_named(store, tmp_path):
    with Store(tmp_path / "b.db") as other, Store(tmp_path / "c.db") as third:
        assert moved(store, other).new == 2 and list(other.users()) == ["ann", "bob"]
        assert moved(store, third, ["bob"]).new == 1 and list(third.users()) == ["bob"]
    for bad in ({"since": 1.0}, {"change": lambda profile: profile}):
        with pytest.raises(ProfileError, match="full holds everything"):
            export(store, "full", tmp_path / "x", **bad)


def test_versions_of_the_stores_own_are_not_mixed_and_the_forgotten_stay_so(store, tmp_path):
    with Store(tmp_path / "b.db") as other:
        save_user(other, "ann", "Likes dogs.", 0)
        found = moved(store, other, ["ann"])
        assert "has versions of 'ann' of its own" in found.conflicts[0][0] and found.new == 0
        assert other.current("ann").text == "Likes dogs." and list(other.event_rows("ann")) == []
        forget_user(other, "ann")
        assert moved(store, other, ["ann"]).forgotten == 1 and other.find("ann") is None


def test_a_rule_for_all_users_holds_for_who_is_moved_in(store, tmp_path):
    with Store(tmp_path / "b.db") as other:
        bans.ban(other, ["health"])
        assert moved(store, other).new == 2
        assert other.current("ann").text == "Likes cats."


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"user_id": 3}, "has no text as its user_id"),
        ({"versions": 3}, "versions is no list"),
        ({"versions": [{"version": 1}]}, "version 1 of 1 has nothing where its text should be"),
        ({"versions": [{"version": 1, "text": "x"}] * 2}, "two versions have one number"),
        ({"current": 9}, "current is 9, which is none of its versions"),
        ({"current": -1}, "current is no whole number from 0"),
        ({"newest": 2**60}, "newest is no whole number"),
        ({"locked": [3]}, "locked is no list"),
        ({"events": [{"kind": "dream"}]}, "event 1 has the kind 'dream'"),
        ({"events": [{"kind": "remark", "time": "x"}]}, "event 1: time is no number"),
        ({"events": [{"kind": "choice", "content": {"chosen": 1}}]}, "event 1 has a content that is none of ours"),
        ({"events": [{"kind": "remark", "content": "x", "id": "e", "source": "\ud800"}]}, "no valid Unicode"),
    ],
)
def test_a_hostile_row_is_counted_in_one_line_and_nothing_of_it_stays(store, tmp_path, change, line):
    row = json.loads(as_json(store, "ann")) | change
    dropped = Dropped()
    with Store(tmp_path / "b.db") as other:
        receipt = Imported(dropped=dropped)
        add(other, read(tmp_path, dropped, io.BytesIO(json.dumps(row).encode() + b"\n")), receipt)
        (reason,) = dropped
        assert line in reason and "\n" not in reason
        assert receipt.new == 0 and list(other.users()) == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_to_a_file_is_more_than_a_line(tmp_path_factory, data):
    """Any value of a row exchanged for another: imported, or counted; never an error of another kind."""
    folder = tmp_path_factory.mktemp("damaged")
    with Store(folder / "p.db") as store, Store(folder / "b.db") as other:
        store.add_events([Entry("ann", Event("e1", "choice", CONTENTS[1][1], 3.0), "talk-1", True)])
        save_user(store, "ann", "Likes cats. Talks of health.", 0)
        row = json.loads(as_json(store, "ann"))
        at, key = row, "format"
        while key == "format" or (isinstance(at[key], dict | list) and at[key] and data.draw(st.booleans())):
            at = at if key == "format" else at[key]
            key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        at[key] = data.draw(st.sampled_from([None, "", "x", -1, 2.5, 10**30, True, [], [[]], {}, {"a": 1}, "\ud800"]))
        receipt = Imported()
        add(other, read(folder, receipt.dropped, io.BytesIO(json.dumps(row).encode() + b"\n")), receipt)
        assert receipt.new + receipt.dropped.total() + len(receipt.conflicts) >= 1
        assert examine(other).faults == []
