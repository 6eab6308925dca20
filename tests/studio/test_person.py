"""A person's page without scripts: read, see the worth, change, undo; nothing is lost and nothing is markup."""

from __future__ import annotations

import re
from html import unescape

import pytest
from support.hostile import HOSTILE
from support.studio_page import Page

from plus.profiles.forget import forget_user
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.serve.requests import StoreFile
from plus.studio.studio import Studio
from plus.studio.visit import WORDS


def texts(answer) -> list[str]:
    """The sentences that a page shows."""
    return [unescape(text) for text in re.findall(r'<p class="words" dir="auto"><bdi>(.*?)</bdi>', answer.text, re.S)]


def stored(page) -> str:
    with Store(page.studio.profiles.path) as store:
        return store.current("ann").text


def test_the_page_shows_each_sentence_with_author_and_day(page):
    answer = page.get("/u/1")
    assert texts(answer) == ["The user likes cats best.", "The user is brief.", "They saw hens."]
    assert answer.text.count('class="chip model"') == 3 and "Version 1" in answer.text


def test_worth_is_a_word_a_number_and_the_number_of_choices(page):
    """Held out: cats over wet dogs, fish, owls, newts and hens, and dogs over newts."""
    shown = page.get("/u/1/worth").text
    words = re.findall(r'<span class="effect (\w+)">', shown)
    numbers = [float(number) for number in re.findall(r'<span class="number">(\S+)</span>', shown)]
    # The whole text does worse than its first sentence, so each counts by what it says alone.
    empty, cats, hens = -0.6931, (5 * -0.1054 + -0.6931) / 6, (5 * -0.6931 + -2.3026) / 6
    assert words == ["helps", "nothing", "hurts"]
    assert numbers == pytest.approx([cats - empty, 0, hens - empty], abs=1e-3)
    assert WORDS["worth_alone"] in shown
    page.post("/u/1/remove/s3", base="1", how="text")
    shown = page.get("/u/1/worth").text
    assert WORDS["worth_alone"] not in shown and f"{cats - empty:+.3f}" in shown
    assert "6 choices that no summary has read" in shown


def test_why_shows_the_choices_in_words(page):
    shown = page.get("/u/1/why/s1").text
    assert "Which one, cats or dogs?" in shown and "I saw cats." in shown and WORDS["why_more"] in shown
    part = page.get("/u/1/why/s1", headers={"HX-Request-Type": "partial"}).text
    assert "Which one, cats or dogs?" in part and "<html" not in part


def test_a_sentence_is_changed_with_the_version_that_was_read(page):
    form = page.get("/u/1/edit/s2").text
    assert 'name="base" value="1"' in form and "The user is brief." in form
    answer = page.post("/u/1/save", base="1", sentence="s2", words="The user wants\r\nshort answers.")
    assert answer.status_code == 200 and WORDS["said_saved"] in answer.text
    assert stored(page) == "The user likes cats best. The user wants\nshort answers. They saw hens."
    added = page.post("/u/1/save", base="2", sentence="", words="Loves rain.")
    assert texts(added)[-1] == "Loves rain." and WORDS["said_added"] in added.text


def test_of_two_windows_the_second_is_shown_both_texts_and_one_click_saves_either(page, studio):
    other = Page(studio)
    assert other.post("/u/1/save", base="1", sentence="s1", words="Likes dogs.").status_code == 200
    answer = page.post("/u/1/save", base="1", sentence="s1", words="Likes owls.")
    assert answer.status_code == 409
    for text in ("Likes dogs.", "Likes owls.", "The user likes cats best.", WORDS["conflict_title"]):
        assert text in answer.text
    assert stored(page).startswith("Likes dogs.")
    assert 'name="base" value="2"' in answer.text and 'name="sentence" value="s1"' in answer.text
    page.post("/u/1/save", base="2", sentence="s1", words="Likes owls.")
    assert stored(page) == "Likes owls. The user is brief. They saw hens."


def test_words_for_a_sentence_that_went_meanwhile_become_a_sentence_of_their_own(page, studio):
    Page(studio).post("/u/1/remove/s1", base="1", how="text")
    answer = page.post("/u/1/save", base="1", sentence="s1", words="Likes owls.")
    assert answer.status_code == 409 and 'name="sentence" value=""' in answer.text
    page.post("/u/1/save", base="2", sentence="", words="Likes owls.")
    assert stored(page) == "The user is brief. They saw hens. Likes owls."


@pytest.mark.parametrize(
    ("where", "fields"),
    [
        ("remove/s1", {"how": "text"}), ("remove/s1", {"how": "erase"}), ("lock/s1", {"on": "1"}),
        ("forbid", {"sentence": "s1"}), ("restore", {"version": "1"}),
    ],
)  # fmt: skip
def test_every_change_of_an_older_version_is_refused(page, where, fields):
    with Store(page.studio.profiles.path) as store:
        save_user(store, "ann", "Somebody else's words.", 1)
        answer = page.post(f"/u/1/{where}", base="1", **fields)
        assert answer.status_code == 409 and "changed meanwhile" in answer.text
        assert store.current("ann").text == "Somebody else&#39;s words.".replace("&#39;", "'")
        assert store.rules("ann").lock == store.rules("ann").forbid == ()


def test_before_saving_the_effect_on_held_out_choices_is_shown_and_nothing_is_saved(page):
    """Cats are right in four of six and undecided in two; with dogs one is right and three are undecided."""
    answer = page.post("/u/1/effect", base="1", sentence="s1", words="The user likes dogs best.")
    assert "With these words 2.5 of 6 of your held-out choices are predicted, before 5" in answer.text
    assert answer.text.count(WORDS["effect_wrong"]) == 5 and answer.text.count(WORDS["effect_right"]) == 1
    assert "The user likes dogs best." in answer.text and stored(page).startswith("The user likes cats best.")


def test_too_few_choices_tell_nothing(page):
    with Store(page.studio.profiles.path) as store, store.transaction():
        for name in ("h1", "h2"):
            store.do(store.sql.drop_event, (1, name))
    answer = page.post("/u/1/effect", base="1", sentence="s1", words="The user likes dogs best.")
    assert WORDS["effect_few"].format(count=4) in answer.text


def test_without_a_reward_model_worth_and_effect_say_so_and_all_else_works(path):
    page = Page(Studio(StoreFile(path)))
    for answer in (
        page.get("/u/1/worth"),
        page.get("/u/1/why/s1"),
        page.post("/u/1/effect", base="1", sentence="s1", words="x"),
    ):
        assert answer.status_code == 200 and "No worth here: scoring needs a reward model" in answer.text
    assert "I saw cats." in page.get("/u/1/why/s1").text
    assert page.post("/u/1/save", base="1", sentence="s1", words="Likes owls.").status_code == 200
    assert page.get("/u/1").status_code == 200


def test_lock_forbid_allow_pause_and_undo(page):
    shown = page.post("/u/1/lock/s1", base="1", on="1").text
    assert WORDS["said_locked"] in shown and WORDS["act_unlock"] in shown
    shown = page.post("/u/1/forbid", base="1", sentence="s2").text
    assert texts(page.get("/u/1")) == ["The user likes cats best.", "They saw hens."] and "The user is brief." in shown
    page.post("/u/1/restore", base="2", version="1")
    assert "forbidden" in page.post("/u/1/restore", base="2", version="1").text, "a ban holds against an older version"
    page.post("/u/1/allow", base="2", words="The user is brief.")
    page.post("/u/1/restore", base="2", version="1")
    assert len(texts(page.get("/u/1"))) == 3
    assert WORDS["said_paused"] in page.post("/u/1/pause", on="1").text
    with Store(page.studio.profiles.path) as store:
        assert store.summary("ann") is None
    assert WORDS["said_unpaused"] in page.post("/u/1/pause", on="0").text
    shown = page.get("/u/1/history").text
    assert shown.count("<h2>Version ") == 3 and "version 1 again" in shown and "<del" in shown and "<ins" in shown


def test_somebody_who_was_forgotten_is_not_written_by_a_window_that_was_open(page):
    with Store(page.studio.profiles.path) as store:
        forget_user(store, "ann")
    for answer in (
        page.post("/u/1/save", base="1", sentence="s1", words="Likes owls."), page.get("/u/1"),
        page.post("/u/1/effect", base="1", sentence="s1", words="x"), page.get("/u/1/why/s1"),
    ):  # fmt: skip
        assert answer.status_code == 410 and WORDS["nobody"] in answer.text
    with Store(page.studio.profiles.path) as store:
        assert store.find("ann") is None


def test_hostile_texts_are_text(page):
    for number, text in enumerate(
        ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\x1b[2J\u202eevil", "a" * 10_000]
    ):
        answer = page.post("/u/1/save", base=str(1 + number), sentence="s1", words=text)
        assert answer.status_code == 200
        shown = texts(answer)[0]
        assert shown == text.replace("\x1b", "\u241b")
        assert "<script>alert" not in answer.text and "<img" not in answer.text


def test_two_hundred_hostile_texts_stay_text_on_every_page(tmp_path):
    with Store(tmp_path / "h.db") as store:
        for number, text in enumerate(HOSTILE):
            if "\ud800" not in text:
                save_user(store, f"<b>{number}</b>&'\"", text, 0)
    page = Page(Studio(StoreFile(tmp_path / "h.db")))
    with Store(tmp_path / "h.db") as store:
        for user_id in list(store.users())[::9]:
            number, text = store.user(user_id).number, store.current(user_id).text
            for where in (f"/u/{number}", f"/u/{number}/history"):
                shown = page.get(where)
                assert shown.status_code == 200 and user_id not in shown.text and "<|im" not in shown.text
                tags = set(re.findall(r"<([a-z0-9]+)", shown.text))
                assert not tags & {"b", "user_profile", "start_of_turn"}, (where, text)


def test_words_that_cannot_be_saved_are_refused_in_a_sentence(page):
    assert WORDS["no_words"] in page.post("/u/1/save", base="1", sentence="s1", words="  ").text
    assert "there is no sentence" in page.get("/u/1/edit/s9").text
    assert page.post("/u/1/save", base="9", sentence="s1", words="x").status_code == 404
    assert "empty" in page.post("/u/1/forbid", base="1", words=" ").text


def test_a_person_without_a_summary_can_write_the_first_sentence(page):
    assert WORDS["empty_title"] in page.get("/u/3").text
    assert texts(page.post("/u/3/save", base="0", sentence="", words="Likes rain.")) == ["Likes rain."]


def test_a_sentence_is_put_aside_and_used_again(page):
    shown = page.post("/u/1/pause", base="1", sentence="s2", on="1").text
    assert WORDS["said_put_aside"] in shown and 'class="card sentence aside" id="sentence-s2"' in shown
    with Store(page.studio.profiles.path) as store:
        assert store.summary("ann").text == "The user likes cats best. They saw hens."
    assert "brief" not in page.get("/u/1/leaves").text, "what is sent goes without it"
    assert WORDS["said_put_back"] in page.post("/u/1/pause", base="1", sentence="s2", on="0").text
    with Store(page.studio.profiles.path) as store:
        assert "brief" in store.summary("ann").text


def test_the_history_says_who_changed_what(page):
    page.post("/u/1/save", base="1", sentence="s2", words="Says little.")
    shown = page.get("/u/1/history").text
    assert WORDS["who_operator"] in shown and WORDS["log_title"] in shown
    own = Page(Studio(page.studio.profiles, only=1, reward_model=page.studio.reward_model))
    own.post("/u/1/lock/s1", base="2", on="1")
    assert WORDS["who_person"] in own.get("/u/1/history").text
