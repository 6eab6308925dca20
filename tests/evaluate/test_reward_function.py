"""Reward functions as TRL calls them."""

from __future__ import annotations

import math

import pytest

from plus.errors import EvidenceError
from plus.evaluate.reward_function import RewardFunction
from plus.types import Preference, Turn

PAIR = Preference("Tell me.", "A cat.", "A dog.", (Turn("user", "Hi."), Turn("assistant", "Hello.")))


def test_a_function_finds_the_text_in_the_prompt_or_in_its_column():
    seen = []

    def plain(prompts, completions, **columns):
        seen.append((prompts[0][0]["content"], columns))
        return [float(len(completion[-1]["content"])) for completion in completions]

    def with_column(prompts, completions, summary, **columns):
        seen.append((prompts[0][0]["content"], summary))
        return [2.0 if "cat" in completion[-1]["content"] else -1.0 for completion in completions]

    assert RewardFunction(plain).log_likelihood(["likes cats"], [PAIR]) == [pytest.approx(math.log(0.5))]
    found = RewardFunction(with_column).log_likelihood(["likes cats"], [PAIR])
    assert found == [pytest.approx(-math.log1p(math.exp(-3)))]
    assert seen == [("About this user: likes cats\n\nHi.", {}), ("Hi.", ["likes cats", "likes cats"])]


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused(value):
    with pytest.raises(EvidenceError, match="every one needs a finite number"):
        RewardFunction(lambda prompts, completions: [value] * len(prompts)).log_likelihood([""], [PAIR])
    with pytest.raises(EvidenceError, match="returned 1 rewards for 2 completions"):
        RewardFunction(lambda prompts, completions: [1.0]).log_likelihood([""], [PAIR])


def test_a_large_margin_does_not_overflow():
    extreme = RewardFunction(lambda prompts, completions: [-1e4, 1e4])
    assert extreme.log_likelihood([""], [PAIR]) == [-2e4]
