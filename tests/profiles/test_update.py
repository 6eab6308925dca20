"""New choices in, newer summaries out; edits, locks and bans stay, and our own words are no evidence."""

from __future__ import annotations

from collections import Counter

import pytest

from plus.profiles import update as updating
from plus.profiles.decisions import forbid
from plus.profiles.forget import forget_user
from plus.profiles.saving import save_user, set_rule
from plus.profiles.store import Store
from plus.profiles.text_filters import without_own
from plus.prompts import profile_message
from plus.types import Entry, Event, Preference, Reaction, Turn
from plus.worlds import pets


class Counting:
    """A summarizer without a network: names the animal chosen most among the last three choices."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def summarize(self, histories):
        texts = []
        for history in histories:
            self.read += [str(event.content) for event in history.events]
            chosen = [event.content.chosen for event in history.events if isinstance(event.content, Preference)][-3:]
            counts = Counter(pets.animal_of(text) for text in chosen)
            texts.append(pets.PERSONA.format(animal=counts.most_common(1)[0][0]) + " The user talked about music.")
        return texts


class LikesScorer:
    """A scorer without a network: sure of an answer that names what the text says is liked."""

    def log_likelihood(self, texts, pairs):
        liked = [{word for _, word in pets.claims(text)} for text in texts]
        return [
            -0.1 if pets.animal_of(pair.chosen) in likes else -2.4 for likes, pair in zip(liked, pairs, strict=True)
        ]


def choice(number: int, animal: str) -> Event:
    return Event(
        f"e{number}",
        "choice",
        Preference("Tell me.", f"I saw some {animal} {number}.", "I saw a snake."),
        float(number),
    )


@pytest.fixture
def store(path):
    with Store(path) as store:
        store.add_events([Entry("ann", choice(n, "cats"), "", False) for n in range(3)])
        run(store)
        yield store


def run(store: Store, summarizer=None) -> updating.UpdateCounts:
    receipt = updating.UpdateCounts()
    list(updating.update(store, summarizer or Counting(), receipt))
    return receipt


def add(store: Store, *numbers: int, animal: str = "dogs") -> None:
    store.add_events([Entry("ann", choice(n, animal), "", False) for n in numbers])


def test_later_choices_win_over_earlier_ones(store):
    assert store.current("ann").text == "The user likes cats best. The user talked about music."
    add(store, 3, 4, 5)
    receipt = run(store)
    assert receipt.updated == 1
    assert store.current("ann").text == "The user likes dogs best. The user talked about music."
    assert store.current("ann").evidence == tuple(f"e{n}" for n in range(6))
    assert [s.id for s in store.current("ann").sentences] == ["s3", "s2"], "what was said before keeps its id"


def test_only_the_newest_events_are_read_where_the_summarizer_learned_on_few(store):
    add(store, 3, 4)
    list(updating.update(store, Counting(), updating.UpdateCounts(), past_events=2))
    assert store.current("ann").evidence == ("e3", "e4")
    assert updating.stale(store) == []


def test_the_same_events_again_summarize_nobody(store):
    add(store, 0, 1, 2, animal="cats")
    assert updating.stale(store) == []
    add(store, 3, animal="cats")
    receipt = run(store)
    assert (receipt.updated, receipt.unchanged) == (0, 1)
    assert store.current("ann").version == 1
    assert updating.stale(store) == []


def test_edits_locks_and_bans_stay(store):
    save_user(store, "ann", "The user likes cats best. The user hates music.", 1)
    set_rule(store, "ann", "lock", "The user likes cats best.")
    forbid(store, "ann", "The user likes dogs best.")
    add(store, 3, 4, 5)
    receipt = run(store)
    assert store.current("ann").text == "The user likes cats best. The user hates music."
    assert receipt.blocked == 2, "the ban, and the sentence that was reworded"
    forbid(store, "ann", "The user likes fish best.")
    add(store, 6, 7, 8, animal="birds")
    run(store)
    assert store.current("ann").text.startswith("The user likes cats best. The user hates music. The user likes birds")


def test_accuracy_is_reported_against_summarizing_anew(store):
    store.add_events(
        [Entry("ann", choice(20 + n, animal), "", True) for n, animal in enumerate(["cats", "dogs", "dogs"])]
    )
    save_user(store, "ann", "She likes cats a lot.", 1)
    add(store, 3, 4, 5)
    receipt = updating.UpdateCounts()
    done = list(updating.update(store, Counting(), receipt))
    assert done[0].text == "She likes cats a lot. The user likes dogs best."
    report = updating.against_anew(store, LikesScorer(), done)
    assert report.choices == 3
    assert report.accuracy_updated == 1.0
    assert report.accuracy_anew == pytest.approx(2 / 3)
    assert updating.against_anew(store, LikesScorer(), []) == updating.AgainstAnew()


def test_an_interrupted_update_goes_on_where_it_stopped(store):
    store.add_events([Entry(f"u{n}", choice(1, "cats"), "", False) for n in range(5)])
    for number, _ in enumerate(updating.update(store, Counting(), updating.UpdateCounts())):
        if number == 1:
            break
    assert len(updating.stale(store)) == 3
    assert run(store).updated == 3


def test_who_is_forgotten_between_reading_and_writing_stays_forgotten(store, path):
    add(store, 3)

    class Slow(Counting):
        def summarize(self, histories):
            with Store(path) as other:
                forget_user(other, "ann")
            return super().summarize(histories)

    receipt = run(store, Slow())
    assert (receipt.forgotten, receipt.updated) == (1, 0)
    assert list(store.users()) == []


def test_our_own_summary_in_a_log_is_no_evidence(store):
    text = store.current("ann").text
    mine = profile_message(text)
    turns = (Turn("user", "What about music?"), Turn("assistant", "Fine."))
    log = [
        Event("m1", "message", (Turn("system", f"Be brief.\n{mine}"), *turns), 10.0),
        Event("m2", "message", (Turn("developer", mine), Turn("user", "More.")), 11.0),
        Event("m3", "choice", Preference(f"{mine}\n\nTell me.", "I saw some cats.", "I saw a snake."), 12.0),
        Event("m4", "reaction", Reaction("Tell me.", "Cats.", True, (Turn("system", mine),)), 13.0),
        Event("m5", "remark", text, 14.0),
        Event("m6", "message", "I do like cats.", 15.0),
    ]  # fmt: skip
    store.add_events([Entry("ann", event, "", False) for event in log])
    summarizer = Counting()
    receipt = run(store, summarizer)
    assert receipt.own == 5
    assert not [said for said in summarizer.read if "The user likes" in said]
    assert (
        sum("What about music?" in said or "Tell me." in said or "I do like" in said for said in summarizer.read) >= 4
    )
    kept, touched = without_own(log, [])
    assert touched == 4, "our opening words alone give four of them away"
    assert kept[-2].content == text
