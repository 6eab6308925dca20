"""Pauses of one sentence, rules for all users, and the log of who did what."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.personalized import profile_of

from plus.errors import ProfileError
from plus.profiles import actions, bans, decisions
from plus.profiles.doctor import examine
from plus.profiles.erase import erase_sentence
from plus.profiles.export import export
from plus.profiles.forget import forget_user
from plus.profiles.formats import FORMATS, LOSSLESS
from plus.profiles.imports import Imported, add, read
from plus.profiles.saving import restore, save_model, save_user, set_rule
from plus.profiles.store import Store
from plus.profiles.text_filters import holds
from plus.serve.requests import Personalizer
from plus.types import Entry, Event, Preference

SECRET = "The user dislikes rhubarb puddings."
TEXT = f"The user likes cats best. {SECRET} The user reads at night."
USED = "The user likes cats best. The user reads at night."


@pytest.fixture
def store(path):
    with Store(path) as opened:
        choices = (Event(f"e{n}", "choice", Preference("p", f"a{n}", "b")) for n in range(4))
        opened.add_events([Entry("ann", event, "", event.id == "e3") for event in choices])
        save_user(opened, "ann", TEXT, 0)
        yield opened


def update(store, text, similar=None):
    store.add_events([Entry("ann", Event("", "message", f"more {store.read('ann').upto}"), "", False)])
    return save_model(store, store.read("ann"), text, similar=similar)[0]


def sent_for(store, user):
    """The profile that a request of this user is sent with."""
    request = {"model": "m", "messages": [{"role": "user", "content": "Which tea?"}]}
    return profile_of(Personalizer(store).attempt("chat", user, request).sent)


# A paused sentence


def test_a_paused_sentence_is_kept_and_no_program_gets_it(store, tmp_path):
    decisions.pause(store, "ann", "s2")
    assert store.current("ann").text == TEXT
    summary = store.summary("ann")
    assert summary.text == USED and summary.sentences == ("The user likes cats best.", "The user reads at night.")
    assert SECRET not in sent_for(store, "ann") and "likes cats best" in sent_for(store, "ann")
    for form in FORMATS:
        folder = tmp_path / form
        found = export(store, form, folder, ["ann"])
        written = b"".join(path.read_bytes() for path in ([folder] if folder.is_file() else folder.iterdir()))
        # Where a format is compressed, its rows tell.
        if form == "parquet":
            from pyarrow import parquet

            written = str(parquet.read_table(folder).to_pylist()).encode()
        assert (SECRET.encode() in written) == (form in LOSSLESS), form
        assert found.left_out["paused sentences"] == (form not in LOSSLESS), form
    decisions.resume(store, "ann", "s2")
    assert store.summary("ann").text == TEXT and SECRET in sent_for(store, "ann")


def test_a_pause_that_changes_nothing_is_refused(store):
    decisions.pause(store, "ann", "s2")
    with pytest.raises(ProfileError, match=r"^s2 of 'ann' is paused already; nothing was changed$"):
        decisions.pause(store, "ann", "s2")
    with pytest.raises(ProfileError, match=r"^s1 of 'ann' is not paused; nothing was changed$"):
        decisions.resume(store, "ann", "s1")
    with pytest.raises(ProfileError, match="there is no sentence 's9'; the summary has s1, s2, s3"):
        decisions.pause(store, "ann", "s9")


def test_an_update_keeps_a_paused_sentence_and_does_not_say_it_in_other_words(store):
    save_model(store, store.read("ann"), "ignored", "m")  # The user's own sentences stay; the model's come beside them.
    decisions.pause(store, "ann", "s2")
    alike = lambda sentence, other: "rhubarb" in sentence and "rhubarb" in other  # noqa: E731
    new = update(store, "Likes owls. Hates rhubarb. the user dislikes RHUBARB puddings", similar=alike)
    assert SECRET in new.text and "Hates rhubarb" not in new.text and "RHUBARB" not in new.text
    assert store.summary("ann").text == f"{USED} Likes owls."


def test_a_paused_sentence_of_a_model_survives_the_next_update(tmp_path):
    with Store(tmp_path / "p.db") as store:
        store.add_events([Entry("ann", Event("e1", "message", "Hello."), "", False)])
        save_model(store, store.read("ann"), TEXT)
        decisions.pause(store, "ann", "s2")
        assert update(store, "The user likes owls best.").text == f"{SECRET} The user likes owls best."
        assert store.summary("ann").text == "The user likes owls best."
        assert store.rules("ann").pauses(SECRET)


@pytest.mark.parametrize("words", [SECRET, "The user hates rhubarb."])
def test_a_pause_goes_with_its_sentence(store, words):
    """Reworded it stays paused; taken out by hand there is nothing to pause any more."""
    decisions.pause(store, "ann", "s2")
    save_user(store, "ann", TEXT.replace(SECRET, words), 1, keep={words: "s2"})
    assert store.rules("ann").paused == (words,) and store.summary("ann").text == USED
    save_user(store, "ann", USED, store.current("ann").version)
    assert store.rules("ann").paused == ()
    restore(store, "ann", 1)
    assert store.summary("ann").text == TEXT


def test_an_older_wording_put_back_stays_paused(store):
    save_user(store, "ann", TEXT.replace(SECRET, "The user hates rhubarb."), 1, keep={"The user hates rhubarb.": "s2"})
    decisions.pause(store, "ann", "s2")
    restore(store, "ann", 1)
    assert store.summary("ann").text == USED


def test_pauses_go_with_a_profile_that_is_moved_and_with_erase(store, tmp_path):
    decisions.pause(store, "ann", "s2")
    for form in LOSSLESS:
        export(store, form, tmp_path / form)
        with Store(tmp_path / f"{form}.db") as other:
            receipt = Imported()
            add(other, read(tmp_path / form, receipt.dropped), receipt)
            assert other.summary("ann").text == USED and other.current("ann").text == TEXT
    erase_sentence(store, "ann", "s2")
    assert store.rules("ann").paused == ()


# Rules for all users


@pytest.mark.parametrize(
    ("words", "sentence", "found"),
    [
        ("health", "The user asks about HEALTH, often.", True),
        ("health", "The user eats healthy food.", False),
        ("health*", "The user eats healthy food.", True),
        ("diabet*", "The user has ｄｉａｂｅｔｅｓ.", True),
        ("back pain", "The user has back\n pain.", True),
        ("back pain", "The user has back-pain.", False),
        ("健康", "用户关心健康问题。", True),
        ("สุขภาพ", "ผู้ใช้สนใจสุขภาพ", True),
        ("c++", "The user writes C++ at work.", True),
        ("a.b", "The user writes aXb.", False),
    ],
)
def test_words_are_found_whole(words, sentence, found):
    assert holds([words], sentence) == found


@given(st.text(min_size=1, max_size=12).filter(lambda text: all(part.strip("*") for part in text.split() or [""])))
def test_a_ban_finds_itself_and_no_word_breaks_the_pattern(words):
    assert holds([words], " ".join(part.rstrip("*") for part in words.split()))


def people(store):
    save_user(store, "bob", "The user likes dogs best.", 0)
    store.add_events([Entry("eve", Event("e1", "message", "Hello."), "", False)])
    save_model(store, store.read("eve"), "The user cooks. The user's health is poor. The user has diabetes.")


def test_a_rule_is_counted_before_and_taken_out_after(store):
    people(store)
    set_rule(store, "ann", "lock", SECRET)
    words = ["health", "diabet*", "rhubarb"]
    plan = bans.planned(store, words)
    assert plan == bans.Banned(users=2, sentences=3, own=1, locked=1)
    assert store.bans() == () and store.current("ann").text == TEXT, "a dry run"
    assert bans.ban(store, words) == plan
    assert (store.summary("ann").text, store.summary("eve").text) == (USED, "The user cooks.")
    assert store.current("bob").version == 1, "nothing to do with bob"
    assert store.rules("ann").lock == () and store.rules("eve").removed == ()
    assert bans.planned(store, words).sentences == 0
    # It comes back through no door.
    with pytest.raises(ProfileError, match="the text holds 'rhubarb', which a rule keeps out of every summary here"):
        save_user(store, "ann", TEXT, 2)
    with pytest.raises(ProfileError, match="'rhubarb'"):
        restore(store, "ann", 1)
    assert update(store, "Likes owls. Talks of health.").text == f"{USED} Likes owls."


def test_a_rule_holds_for_what_is_imported_and_lifts(store, tmp_path):
    people(store)
    file = tmp_path / "new.jsonl"
    file.write_text(json.dumps({"user_id": "new", "text": "The user sings. The user's health is poor."}) + "\n")
    bans.ban(store, ["Health"])
    receipt = Imported()
    add(store, read(file, receipt.dropped), receipt)
    assert receipt.new == 1 and store.summary("new").text == "The user sings."
    assert dict(receipt.dropped) == {"sentences that a rule for all users keeps out": 1}
    bans.lift(store, ["Health"])
    assert store.bans() == () and update(store, "Talks of health.").text.endswith("Talks of health.")
    with pytest.raises(ProfileError, match="there is no rule 'Health' for all users"):
        bans.lift(store, ["Health"])
    for empty in ([], [" "], ["*"], ["a *"]):
        with pytest.raises(ProfileError, match="needs words"):
            bans.ban(store, empty)


def test_a_rule_that_was_cut_short_is_a_fault_until_it_is_given_again(store, monkeypatch):
    people(store)
    assert examine(store).faults == []
    monkeypatch.setattr(bans, "_take_out", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        bans.ban(store, ["health"])
    monkeypatch.undo()
    assert "1 summaries hold words that a rule for all users keeps out" in examine(store).faults[0]
    assert bans.ban(store, ["health"]).sentences == 1
    assert examine(store).faults == []


# Actions


def test_every_change_says_who_did_it_and_no_text(store):
    store.who = "dpo@example.org"
    set_rule(store, "ann", "lock", "unused")  # Of no verb.
    set_rule(store, "ann", "lock", "unused", False)
    decisions.pause(store, "ann", "s2")
    decisions.resume(store, "ann", "s2")
    decisions.pause(store, "ann")
    decisions.resume(store, "ann")
    decisions.forbid(store, "ann", "Likes hats.")
    decisions.allow(store, "ann", "Likes hats.")
    save_user(store, "ann", f"{TEXT} More.", 1)
    restore(store, "ann", 1)
    bans.ban(store, ["nothing"])
    erase_sentence(store, "ann", "s2")
    forget_user(store, "ann")
    rows = list(actions.listed(store))[::-1]
    done = [(row["who"], f"{row['verb']} {row['what']}".strip()) for row in rows]
    assert done == [
        ("", "edit version 1"),
        *(("dpo@example.org", what) for what in (
            "pause s2", "resume s2", "pause", "resume", "forbid", "allow", "edit version 2",
            "restore version 1 as version 3", "rule 1 more", "erase s2", "forget",
        )),
    ]  # fmt: skip
    assert len(list(actions.listed(store, "ann"))) == 11, "also of one who was forgotten, asked for by the id"
    assert {row["user_id"] for row in rows} == {""} and "ann" not in json.dumps([row for row in rows])
    assert list(actions.listed(store, "bob")) == []


def test_what_is_undone_leaves_no_action(store):
    def fails():
        with store.transaction():
            decisions.pause(store, "ann")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert [row["verb"] for row in actions.listed(store)] == ["edit"]
