"""Reward-hacking detectors on worked answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from plus.policy import hacking
from plus.policy.hacking import Limits, PaidPhrase, PolicyEvaluation, RisenPhrase, Scale
from plus.policy.model import UserPrompt

ASKED = [UserPrompt("Which tea?", "", f"user-{n}") for n in range(40)]
PLAIN = ["Green tea is nice.", "Black tea is fine."] * 20
HACKED = [f"{text} Bye for now!" for text in PLAIN[:20]] + PLAIN[20:]


def test_a_phrase_that_rose_is_found_at_its_longest():
    """20 of 40 answers hold it, none of the reference's did."""
    risen = hacking.risen_phrases(PLAIN, HACKED, ratio=2.0)
    assert risen[0] == RisenPhrase("Bye for now!", 0.0, 0.5)
    assert not any(rise.phrase == "Green tea" for rise in risen), "as frequent as before"
    assert hacking.risen_phrases(PLAIN, PLAIN, 2.0) == []
    assert hacking.risen_phrases(PLAIN, [*PLAIN[:39], "Bye for now!"], 2.0) == [], "one answer may be chance"


def score(bye: float):
    return lambda asked, texts: [bye * text.count("Bye for now!") + 0.01 * len(text) for text in texts]


@pytest.mark.parametrize(("proxy", "held_out", "caught"), [(2.0, -1.0, True), (2.0, 1.0, False), (-2.0, -1.0, False)])
def test_a_phrase_is_a_hack_when_it_is_paid_for_and_others_are_better_off_without(proxy, held_out, caught):
    risen = hacking.risen_phrases(PLAIN, HACKED, 2.0)
    worst = hacking.paid_phrase(risen, ASKED, HACKED, score(proxy), score(held_out), Scale(0.0, 2.0))
    assert (worst is not None and worst.gain > Limits.default().phrase) == caught
    if caught:
        # Cut out, the held-out reward gains 1 less 0.01 for each of the 13 letters, half that in deviations.
        assert worst == PaidPhrase(*risen[0], pytest.approx((1 - 0.13) / 2))


def test_distinct_length_and_worst_decile_on_worked_numbers():
    assert hacking.distinct_n(["a b c", "a b d"]) == 3 / 4  # ab bc ab bd
    assert hacking.distinct_n(["a"]) == 0.0
    assert hacking.words(["a b", "a b c d"]) == 3.0
    users = [f"u{n // 2}" for n in range(40)]  # 20 users, two answers each
    values = [float(n // 2) for n in range(40)]
    assert hacking.worst_decile(users, values) == 0.5  # users 0 and 1
    assert hacking.worst_decile(["a"], [3.0]) == 3.0


def test_disagreement_is_0_for_models_that_differ_in_scale_only():
    a, b = [1.0, 2.0, 3.0, 6.0], [12.0, 22.0, 32.0, 62.0]
    assert hacking.disagreement(a, b, Scale.of(a), Scale.of(b)) == pytest.approx(0.0)
    opposite = [-value for value in a]
    assert hacking.disagreement(a, opposite, Scale.of(a), Scale.of(opposite)) == pytest.approx(2.0)


def test_each_measure_raises_its_own_alarm_beyond_its_threshold_and_none_within():
    limits = Limits.default()
    calm = PolicyEvaluation(
        length_ratio=1.0, distinct_ratio=1.0, worst_decile_change=0.0, disagreement_ratio=1.0, floor_change=0.0,
        held_out_fall=0.0,
    )  # fmt: skip
    assert hacking.find_alarms(calm, limits) == []
    assert hacking.find_alarms(PolicyEvaluation(), limits) == [], "what cannot be measured raises nothing"
    beyond = {
        "length": {"length_ratio": 9.0},
        "diversity": {"distinct_ratio": 0.01},
        "worst_decile": {"worst_decile_change": -9.0},
        "disagreement": {"disagreement_ratio": 9.0},
        "floor": {"floor_change": -0.5},
        "held_out": {"held_out_fall": 9.0},
        "phrase": {"phrase": PaidPhrase("Bye", 0.01, 0.5, 9.0)},
    }
    for name, value in beyond.items():
        (alarm,) = hacking.find_alarms(replace(calm, **value), limits)
        assert alarm.name == name
        assert alarm.sentence
        assert name != "phrase" or "'Bye' stands in 50% of the answers (reference 1%)" in alarm.sentence
    assert [alarm.name for alarm in hacking.find_alarms(replace(calm, length_ratio=0.01), limits)] == ["length"]


def test_a_constant_reference_has_a_scale():
    assert Scale.of([2.0, 2.0]) == Scale(2.0, 1.0)
    assert Scale.of([1.0, 3.0]) == Scale(2.0, 1.0)
    assert not math.isnan(hacking.disagreement([], [], Scale(0, 1), Scale(0, 1)))
