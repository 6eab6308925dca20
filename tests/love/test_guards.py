"""Guards: floods, bursts and the cap are left out and reported; ordinary users are untouched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.love_logs import START, log

from plus.love.guards import BURST, CAPPED, DUPLICATE, OFF, Guards, guard
from plus.love.reactions import load
from plus.resources import shipped
from plus.types import Dropped, Event, Reaction

ANSWER = "The quick brown fox jumps over the lazy dog near the old river bank today."


def flood(count, apart, text=lambda n: ANSWER, label=True):
    return [Event(f"f{n}", "reaction", Reaction(f"Ask {n}", text(n), label), START + apart * n) for n in range(count)]


def guarded(past, guards=Guards()):  # noqa: B008
    dropped = Dropped()
    kept, suspects = guard({"mallory": past}, guards, dropped)
    return kept.get("mallory", []), suspects, dropped


def test_a_slow_flood_of_one_answer_counts_once_and_is_named_with_its_answer():
    kept, (suspect,), dropped = guarded(flood(200, 600))
    assert [event.id for event in kept] == ["f0"]
    assert dropped == {DUPLICATE: 199}
    assert (suspect.user_id, suspect.duplicates, suspect.bursts, suspect.reactions) == ("mallory", 199, 0, 200)
    assert (suspect.answer, suspect.love) == (ANSWER, 1.0)


def test_rewording_an_answer_slightly_does_not_evade_the_guard():
    kept, _, _ = guarded(flood(50, 600, lambda n: f"{ANSWER.upper()} #{n}"))
    assert len(kept) == 1


def test_other_words_are_other_answers_and_one_number_alone_is_none():
    texts = ["I earn 50 a day.", "I earn 60 a day.", "We need dogs.", "We need cats."]
    kept, suspects, dropped = guarded(flood(4, 600, lambda n: texts[n]))
    assert len(kept) == 4
    assert not suspects
    assert not dropped
    long = "In the long run nobody who lives here can live on {} dollars a day."
    assert len(guarded(flood(2, 600, lambda n: long.format(50 + n)))[0]) == 1


@given(st.lists(st.frozensets(st.sampled_from("abcdefg"), min_size=1), max_size=12))
def test_the_index_finds_what_comparing_with_everything_finds(sets):
    kept: list[frozenset] = []
    for words in sets:
        if not any(len(words & other) >= 0.8 * len(words | other) for other in kept):
            kept.append(words)
    texts = [" ".join(sorted(words)) for words in sets]
    found, _, _ = guarded(flood(len(texts), 600, lambda n: texts[n]))
    assert [frozenset(event.content.completion.split()) for event in found] == kept


def test_the_same_answer_loved_and_not_loved_is_no_duplicate():
    past = [*flood(1, 600), *flood(1, 600, label=False)]
    assert len(guarded(past)[0]) == 2


def test_a_burst_is_left_out_and_reactions_at_a_normal_pace_stay():
    slow = [
        Event(f"s{n}", "reaction", Reaction("p", f"thought number {n} of {n * n}", True), START - 600 + 60 * n)
        for n in range(5)
    ]
    fast = flood(13, 0.7, lambda n: f"word{n} thing{n}")
    kept, (suspect,), dropped = guarded([*slow, *fast])
    assert [event.id for event in kept] == [event.id for event in slow]
    assert dropped == {BURST: 13}
    assert suspect.bursts == 13
    assert len(guarded([*slow, *fast[:12]])[0]) == 17  # Twelve within ten seconds is only fast.


def test_the_cap_keeps_a_seeded_sample_over_the_whole_time():
    past = flood(900, 600, lambda n: f"word{n} thing{n}")
    kept, suspects, dropped = guarded(past, Guards(max_per_user=100))
    assert len(kept) == 100
    assert dropped == {CAPPED: 800}
    assert not suspects  # Many reactions are capped, not suspect.
    assert kept == guarded(past, Guards(max_per_user=100))[0]
    assert kept == sorted(kept, key=lambda event: event.time)
    assert sum(event.time > past[450].time for event in kept) in range(30, 71)


def test_switched_off_everything_passes():
    kept, suspects, dropped = guarded(flood(200, 0.1), OFF)
    assert len(kept) == 200
    assert not suspects
    assert not dropped


def test_ordinary_people_pass_untouched():
    for events in (log(), load([shipped("polis_sample")], Dropped(), Dropped())):
        dropped = Dropped()
        kept, suspects = guard(events, Guards(), dropped)
        assert kept == events
        assert not suspects
        assert not dropped
