"""Upsampling of positives and its prior correction on worked numbers; what batches hold."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.love_logs import log

from plus.errors import SettingError
from plus.love.batches import Upsampling, UserTexts, batches, logit
from plus.love.reactions import labels_of


def test_worked_numbers():
    found = Upsampling.of(0.02, 0.10)
    assert found.weight == pytest.approx((0.1 / 0.9) / (0.02 / 0.98))  # 5.444: 10 of 100 instead of 2 of 100
    assert found.shift == pytest.approx(math.log(49 / 9)) == pytest.approx(1.6946, abs=1e-4)
    assert 1 / (1 + math.exp(found.shift)) == pytest.approx(0.1552, abs=1e-4)  # even odds as trained
    # A log of 2 loved and 98 not, each loved row drawn weight times as often: a tenth of what is drawn is love.
    assert 2 * found.weight / (2 * found.weight + 98) == pytest.approx(0.10)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.floats(-8, 8))
def test_correction_is_bayes_rule(rate, share, strength):
    """For every likelihood ratio: trained at `share` and corrected equals trained at `rate`."""
    found = Upsampling.of(rate, share)
    as_trained = logit(found.share) + strength
    assert as_trained - found.shift == pytest.approx(logit(rate) + strength, abs=1e-9)


def test_positives_are_never_drawn_down():
    found = Upsampling.of(0.57, 0.10)
    assert (found.share, found.shift, found.weight) == (0.57, 0.0, 1.0)
    assert Upsampling.of(0.57, None).shift == 0


@pytest.mark.parametrize(
    ("rate", "share", "said"),
    [(0.1, 1.0, "positive_share is 1"), (0.1, -0.2, "between 0 and 1"), (0.0, 0.1, "both outcomes")],
)
def test_a_share_outside_0_and_1_is_refused(rate, share, said):
    with pytest.raises(SettingError, match=said):
        Upsampling.of(rate, share)


def test_batches_hold_the_set_share_and_every_reaction_as_often_as_its_weight():
    events = log(users=40, each=20, base=-4.0)
    labels = labels_of(events)
    found = Upsampling.of(sum(labels) / len(labels), 0.3)
    assert found.rate < 0.15
    drawn = batches(events, UserTexts("none"), found.weight, 32, 8, 0.6, 0.1, random.Random(0))
    seen: Counter[bool] = Counter()
    for _ in range(300):
        _, reactions = next(drawn)
        seen.update(reaction.label for reaction in reactions)
    assert seen[True] / seen.total() == pytest.approx(0.3, abs=0.01)


def test_a_batch_never_reads_a_reaction_that_it_predicts():
    events = log(users=20, each=20)
    drawn = batches(events, UserTexts("history"), 1.0, 8, 6, 0.6, 0.1, random.Random(0))
    empty = total = 0
    for _ in range(100):
        texts, reactions = next(drawn)
        for text, reaction in zip(texts, reactions, strict=True):
            assert reaction.completion not in text
            empty += not text
            total += 1
    assert empty / total == pytest.approx(0.1, abs=0.04)
