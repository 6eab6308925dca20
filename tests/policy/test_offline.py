"""Best of n, rejection sampling and DPO optimise the same goals."""

from __future__ import annotations

import pytest
from support.pets_policy import asked, config, letters, policy

from plus.errors import RewardError
from plus.measures import mean
from plus.policy.offline import Ranked, best_of_n, dpo, ranked, rejection_sampling
from plus.policy.rewards import Goal, Goals


def length(texts) -> float:
    return mean(map(len, texts))


@pytest.fixture(scope="module")
def sample():
    one, wanted, prompts = policy(), Goals([Goal("letters", letters)]), asked(48)
    wanted.measure(prompts, one.answer(prompts, seed=1))
    return one, wanted, prompts, ranked(one, prompts, wanted, n=4, seed=0)


def test_best_and_worst_of_n_are_the_best_and_the_worst(sample):
    one, wanted, prompts, found = sample
    texts = one.answer(prompts, 4, seed=0)
    for number, row in enumerate(found):
        mine = texts[4 * number : 4 * number + 4]
        totals = wanted.total(wanted.rewards([prompts[number]] * 4, mine))
        best, worst = max(totals), min(totals)
        assert row == Ranked(prompts[number], mine[totals.index(best)], mine[totals.index(worst)], best - worst)
    best = best_of_n(one, prompts, wanted, 4, seed=0)
    assert best == [row.best for row in found]
    assert length(best) > length(one.answer(prompts, seed=1)) + 3


@pytest.mark.slow
@pytest.mark.parametrize("learn", [rejection_sampling, dpo])
def test_training_on_the_sample_changes_answers_to_new_prompts(sample, learn, tmp_path):
    found, one, others = sample[3], policy(), asked(128, seed=50)
    before = length(one.answer(others, seed=2))
    learn(one, found, config(tmp_path, learning_rate=3e-3), epochs=12, batch_size=16)
    assert length(one.answer(others, seed=2)) > before + 2


def test_pairs_of_equal_worth_teach_nothing(tmp_path):
    same = [Ranked(prompt, "A cat.", "A cat.", 0.0) for prompt in asked(2)]
    with pytest.raises(RewardError, match="worth the same"):
        dpo(policy(), same, config(tmp_path))
