"""Erasing one sentence out of every version, and the page of everything that is held."""

from __future__ import annotations

import json
import subprocess

import pytest

from plus.errors import ProfileError
from plus.profiles import doctor, person
from plus.profiles.decisions import allow
from plus.profiles.erase import erase_sentence
from plus.profiles.export import export
from plus.profiles.saving import save_model, save_user, set_rule
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference

SECRET = "Has seen a doctor about sleeping badly."


@pytest.fixture
def store(path):
    with Store(path) as store:
        for n, user in enumerate(("ann", "bob")):
            event = Event(f"e{n}", "choice", Preference("Tea?", f"Herbal {user}.", "Black."), 1.0, "log.jsonl")
            store.add_events([Entry(user, event, "talk", False)])
            save_model(store, store.read(user), f"Likes {user} tea. {SECRET if user == 'ann' else ''} Short answers.")
        save_user(store, "ann", "Likes ann tea. Has seen doctors about sleeping badly. Short answers.", 1)
        save_user(store, "ann", f"Likes ann tea. {SECRET} Short answers. Knows Oslo.", 2)
        set_rule(store, "ann", "lock", SECRET)
        yield store


def found(folder, text: str) -> list[str]:
    return subprocess.run(["grep", "-rlaF", text, folder], capture_output=True, text=True).stdout.split()


def test_it_goes_out_of_every_version_and_comes_back_from_no_model(store, tmp_path):
    receipt = erase_sentence(store, "ann", "s2")
    assert receipt.kind == "sentence" and receipt.removed["versions"] == 3 and receipt.found == []
    for text in (SECRET, "doctor about", "seen doctors"):
        assert found(tmp_path, text) == []
    assert [v.text for v in store.history("ann")] == [
        "Likes ann tea. Short answers.",
        "Likes ann tea. Short answers.",
        "Likes ann tea. Short answers. Knows Oslo.",
    ]
    assert [s.id for s in store.current("ann").sentences] == ["s1", "s3", "s4"]
    assert store.rules("ann").lock == () and doctor.examine(store).faults == []
    _, composed = save_model(store, store.read("ann"), f"Likes coffee. {SECRET.upper()}")
    assert composed.blocked == (SECRET.upper(),) and SECRET.upper() not in store.current("ann").text
    assert store.current("bob").text == "Likes bob tea.  Short answers."
    assert len(store.events("ann")) == 1, "the choice it came from stays"


def test_a_person_is_told_and_may_allow_it_again(store):
    erase_sentence(store, "ann", "s2")
    with pytest.raises(ProfileError, match=r"was erased for 'ann'; plus profile forbid ann TEXT --off"):
        save_user(store, "ann", f"Likes ann tea. {SECRET}", 3)
    allow(store, "ann", SECRET)
    assert SECRET in save_user(store, "ann", f"Likes ann tea. {SECRET}", 3).text
    with pytest.raises(ProfileError, match="is not forbidden"):
        allow(store, "ann", SECRET)
    with pytest.raises(ProfileError, match="there is no sentence 's9'"):
        erase_sentence(store, "ann", "s9")


def test_a_store_made_anew_still_refuses_it(store, tmp_path, path):
    erase_sentence(store, "ann", "s2")
    store.close()
    for path in tmp_path.glob("profiles.db*"):
        path.unlink()
    with Store(path) as anew:
        anew.add_events([Entry("ann", Event("e", "message", "hello"))])
        assert save_model(anew, anew.read("ann"), f"Likes tea. {SECRET}")[1].blocked == (SECRET,)


def test_the_page_holds_everything(store, tmp_path):
    export(store, "jsonl", tmp_path / "out.jsonl")
    held = json.loads(json.dumps(person.held(store, "ann")))
    assert [v["version"] for v in held["versions"]] == [1, 2, 3] and held["locked"] == [SECRET]
    assert held["events"][0]["content"]["chosen"] == "Herbal ann." and held["exports"] == [str(tmp_path / "out.jsonl")]
    page = "\n".join(person.page(held))
    for text in (SECRET, "seen doctors", "Herbal ann.", "Knows Oslo.", "log.jsonl", "out.jsonl", "locked: "):
        assert text in page
    assert "bob" not in page
