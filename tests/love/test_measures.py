"""Measures of P(love) on worked numbers, on known truths, and on planted faults."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from plus.errors import EvidenceError
from plus.love.measures import (
    ScoredReaction,
    auroc,
    auroc_difference,
    calibration_error,
    calibration_slope,
    drift,
    length_correlation,
)


def rows(logits, labels, users=None, **more):
    return [
        ScoredReaction(
            users[n] if users else f"u{n}", f"e{n}", float(logit), bool(label), **{k: v[n] for k, v in more.items()}
        )
        for n, (logit, label) in enumerate(zip(logits, labels, strict=True))
    ]


def drawn(seed=0, users=200, each=20, shift=0.0, scale=1.0):
    """Reactions whose true log-odds are known; the predicted ones are scale * truth + shift."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1.5, users * each)
    return rows(
        scale * truth + shift, rng.random(len(truth)) < expit(truth), [f"u{n // each}" for n in range(len(truth))]
    )


def test_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_one_half():
    # Loved 3, 1; not loved 2, 1: 3>2, 3>1, 1<2, 1=1 -> 2.5 of 4.
    assert auroc(rows([3, 1, 2, 1], [1, 1, 0, 0])).mean == pytest.approx(2.5 / 4)
    made = drawn(1, 50, 10)
    assert auroc(made).mean == pytest.approx(roc_auc_score([r.label for r in made], [r.logit for r in made]))
    assert math.isnan(auroc(rows([1, 2], [1, 1])).mean)


def test_the_interval_draws_users_so_copies_of_a_reaction_add_nothing():
    once = drawn(2, 100, 1)
    copied = [ScoredReaction(r.user_id, f"{r.example}-{n}", r.logit, r.label) for r in once for n in range(9)]
    a, b = auroc(once), auroc(copied)
    assert (a.low, a.high) == pytest.approx((b.low, b.high))
    as_if_independent = auroc([ScoredReaction(r.example, r.example, r.logit, r.label) for r in copied])
    assert b.high - b.low > 2 * (as_if_independent.high - as_if_independent.low)


def test_a_difference_is_taken_on_the_same_reactions():
    made = drawn(3)
    noisy = rows([r.logit + n for r, n in zip(made, np.random.default_rng(0).normal(0, 3, len(made)), strict=True)],
                 [r.label for r in made], [r.user_id for r in made])  # fmt: skip
    found = auroc_difference(made, noisy)
    assert found.mean == pytest.approx(auroc(made).mean - auroc(noisy).mean)
    assert found.low > 0
    same = auroc_difference(made, made)
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    with pytest.raises(EvidenceError, match="different reactions"):
        auroc_difference(made, made[::-1])


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (2.0, 0.0), (0.5, 0.0), (1.0, 1.7)])
def test_slope_and_intercept_recover_a_planted_scale_and_shift(scale, shift):
    found = calibration_slope(drawn(4, scale=scale, shift=shift))
    assert found.slope.low < 1 / scale < found.slope.high
    assert found.intercept.low < -shift / scale < found.intercept.high
    assert (found.slope.low < 1 < found.slope.high) == (scale == 1)
    assert (found.intercept.low < 0 < found.intercept.high) == (shift == 0)


def test_the_slopes_interval_covers_the_truth_as_often_as_it_says():
    covered = sum((s := calibration_slope(drawn(seed, 60, 10)).slope).low < 1 < s.high for seed in range(100))
    assert covered >= 88


def test_calibration_error_stands_beside_that_of_a_perfect_model():
    right, wrong = calibration_error(drawn(5)), calibration_error(drawn(5, shift=1.7))
    assert right.ece < right.if_perfect_95
    assert wrong.ece > wrong.if_perfect + 0.1
    # Worked: two bins, said .9 (half came true) and .1 (none did): (|.5 - .9| + |0 - .1|) / 2.
    logit = math.log(9)
    found = calibration_error(rows([logit, logit, -logit, -logit], [1, 0, 0, 0]))
    assert found.ece == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)


def test_a_drift_planted_in_the_last_quarter_is_found_there_and_only_there():
    made = drawn(6)
    rng = np.random.default_rng(1)
    timed = [ScoredReaction(r.user_id, r.example, r.logit, r.label, time=float(t)) for t, r in enumerate(made)]
    still = drift(timed)
    assert [w.reactions for w in still] == [1000] * 4
    assert sum(w.difference.low < 0 < w.difference.high for w in still) >= 3
    moved = [
        ScoredReaction(
            r.user_id,
            r.example,
            r.logit,
            bool(rng.random() < expit(r.logit + 1.5)) if r.time >= 3000 else r.label,
            time=r.time,
        )
        for r in timed
    ]
    found = drift(moved)
    assert found[3].difference.low > 0.1
    assert all(a == b for a, b in zip(found[:3], still[:3], strict=True))
    assert drift(made) == []  # no times, no drift


def test_a_score_that_follows_length_is_found():
    made = drawn(7, 50, 10)
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 200, len(made))
    plain = [
        ScoredReaction(r.user_id, r.example, r.logit, r.label, "x" * n) for r, n in zip(made, lengths, strict=True)
    ]
    long = [
        ScoredReaction(r.user_id, r.example, r.logit + 0.03 * n, r.label, "x" * n)
        for r, n in zip(made, lengths, strict=True)
    ]
    a, b = length_correlation(plain), length_correlation(long)
    assert a.low < 0 < a.high
    assert b.low > 0.4
    assert math.isnan(length_correlation(made).mean)
