"""New versions: a model's under people's rules, a person's on top of what they saw."""

from __future__ import annotations

import pytest

from plus.errors import ConflictError, ForgottenError, ProfileError, UnknownUserError
from plus.profiles import versions
from plus.profiles.decisions import forbid
from plus.profiles.forget import forget_conversation, forget_user, lift
from plus.profiles.saving import restore, save_model, save_user, set_rule
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference


def event(number: int, chosen: str = "cats") -> Event:
    return Event(
        f"e{number}", "choice", Preference("Tell me.", f"I saw {chosen} {number}.", "I saw dogs."), float(number)
    )


@pytest.fixture
def store(path):
    with Store(path) as store:
        store.add_events([Entry("ann", event(n), f"c{n % 2}", False) for n in range(4)])
        save_model(store, store.read("ann"), "Likes cats. Talks of music. Short answers.", "m", "run")
        yield store


def texts(store: Store) -> list[tuple[str, str]]:
    return [(s.id, s.text) for s in store.current("ann").sentences]


def test_an_edit_is_a_new_version_and_the_older_one_stays(store):
    current = store.current("ann")
    change = versions.edit(current, {"s1": "Likes dogs."}, ["No lists."], ["s3"])
    saved = save_user(store, "ann", change.text, 1, change.keep, change.gone)
    assert (saved.version, saved.origin, saved.text) == (2, "user", "Likes dogs. Talks of music. No lists.")
    assert texts(store) == [("s1", "Likes dogs."), ("s2", "Talks of music."), ("s4", "No lists.")]
    assert store.history("ann")[0].text == "Likes cats. Talks of music. Short answers."
    assert set(store.rules("ann").removed) == {"Likes cats.", "Short answers."}
    assert save_user(store, "ann", change.text, 2).version == 2, "the same text again is no new version"


def test_the_second_of_two_edits_is_told_and_shown_the_difference(store):
    save_user(store, "ann", "Likes birds.", 1)
    with pytest.raises(ConflictError, match="version 2 is there, your edit was made from 1") as caught:
        save_user(store, "ann", "Likes fish.", 1)
    assert "+Likes birds." in caught.value.diff
    assert "-Likes cats." in caught.value.diff
    assert store.current("ann").text == "Likes birds."


def test_edits_locks_and_bans_survive_a_model_that_knows_nothing_of_them(store):
    save_user(store, "ann", "Likes cats. Talks of films. Short answers.", 1)
    set_rule(store, "ann", "lock", "Short answers.")
    forbid(store, "ann", "Likes cats.")
    store.add_events([Entry("ann", event(9), "", False)])
    saved, composed = save_model(store, store.read("ann"), "likes CATS! Talks of music. Likes birds.", "m", "run")
    assert saved.text == "Talks of films. Short answers. Likes birds."
    assert composed.blocked == ("likes CATS!", "Talks of music.")
    assert [s.origin for s in saved.sentences] == ["user", "model", "model"]
    assert saved.evidence == ("e0", "e1", "e2", "e3", "e9")


def test_what_was_removed_by_hand_may_be_added_again_by_hand(store):
    save_user(store, "ann", "Likes cats.", 1)
    assert "Talks of music." in store.rules("ann").removed
    save_user(store, "ann", "Likes cats. Talks of music.", 2)
    assert "Talks of music." not in store.rules("ann").removed


def test_a_persons_own_edit_is_held_to_their_locks_and_bans(store):
    set_rule(store, "ann", "lock", "Likes cats.")
    with pytest.raises(
        ProfileError, match="s1 of 'ann' is locked; unlock it first with plus profile lock ann s1 --off"
    ):
        save_user(store, "ann", "Likes dogs.", 1)
    with pytest.raises(ProfileError, match="s1 of 'ann' is locked"):
        forbid(store, "ann", "likes cats")
    forbid(store, "ann", "Likes fish.")
    with pytest.raises(ProfileError, match="is forbidden for 'ann'"):
        save_user(store, "ann", "Likes cats. LIKES FISH!", 1)
    assert store.current("ann").version == 1
    assert store.rules("ann").forbid == ("Likes fish.",)


def test_restoring_is_a_new_version_with_the_old_ids(store):
    save_user(store, "ann", "Zzz.", 1)
    found = restore(store, "ann", 1)
    assert (found.version, found.note) == (3, "version 1 again")
    assert texts(store) == [("s1", "Likes cats."), ("s2", "Talks of music."), ("s3", "Short answers.")]
    assert store.rules("ann").removed == ("Zzz.",)
    with pytest.raises(UnknownUserError, match="has no version 7"):
        restore(store, "ann", 7)


def test_a_job_that_read_before_the_forget_cannot_write_after_it(store):
    reading = store.read("ann")
    forget_user(store, "ann")
    with pytest.raises(ForgottenError):
        save_model(store, reading, "Likes cats.")
    with pytest.raises(ForgottenError):
        save_user(store, "ann", "Likes cats.", 1)
    with pytest.raises(ForgottenError):
        save_user(store, "ann", "Likes cats.", 0)
    assert store.add_events([Entry("ann", event(1))]).refused == 1
    assert list(store.users()) == []


def test_nor_after_the_user_came_back(store):
    """Who returns under the same id is somebody new to a job from before."""
    reading = store.read("ann")
    forget_user(store, "ann")
    assert lift(store, "ann")
    assert store.add_events([Entry("ann", event(n), "", False) for n in range(4)]).added == 4
    with pytest.raises(ForgottenError):
        save_model(store, reading, "Likes cats.")
    assert store.current("ann") is None


def test_nor_from_a_conversation_that_was_forgotten_meanwhile(store):
    reading = store.read("ann")
    forget_conversation(store, "c1")
    with pytest.raises(ForgottenError, match="has been forgotten; summarize again"):
        save_model(store, reading, "Likes cats 1.")
    assert store.add_events([Entry("ann", event(1), "c1")]).refused == 1
    assert store.add_events([Entry("ann", event(1), "")]).refused == 1, "also without the conversation's name"


def test_a_text_that_cannot_be_written_is_named(store):
    with pytest.raises(ProfileError, match="no valid Unicode at character 6"):
        save_user(store, "ann", "Likes \ud800.", 1)
