"""Weighted goals: worked sums, floors, and rewards that cannot be used."""

from __future__ import annotations

import math

import pytest
import torch
from support.tiny_models import saved

from plus.errors import RewardError
from plus.models.reward_model import RewardModel
from plus.policy.model import UserPrompt
from plus.policy.rewards import CLIP, Goal, Goals, score_answers
from plus.policy.rewards_file import with_summary

ASKED = [UserPrompt("Which tea?", "Likes green.", "ann"), UserPrompt("Which tea?", "Likes black.", "bo")]


def by_length(prompts, completions, **columns):
    return [float(len(completion[-1]["content"])) for completion in completions]


def is_kind(prompts, completions, **columns):
    return [float("rude" not in completion[-1]["content"]) for completion in completions]


def always(value):
    return lambda prompts, completions, **columns: [value] * len(completions)


def goals(*more: Goal) -> Goals:
    found = Goals([Goal("length", by_length, 0.5), *more])
    found.measure([*ASKED, *ASKED], ["a" * 2, "a" * 4, "a" * 6, "a" * 8])  # mean 5, spread sqrt(5)
    return found


def test_a_total_on_worked_numbers():
    """z of 10 letters is 5 / sqrt(5) = 2.236; of 2 letters -1.342; weights are in standard deviations."""
    found = goals()
    assert found.scale["length"] == (5.0, pytest.approx(math.sqrt(5)))
    totals = found.total(found.rewards(ASKED, ["a" * 10, "a" * 2]))
    assert totals == [pytest.approx(0.5 * 2.23607), pytest.approx(0.5 * -1.34164)]
    assert found.total(found.rewards(ASKED, ["a" * 999, "a"]))[0] == 0.5 * CLIP, "no reward can grow without end"


def test_no_weight_outbids_a_floor():
    found = goals(Goal("kind", is_kind, floor=0.5), Goal("more", by_length, 100.0))
    rude, polite = found.total(found.rewards(ASKED, ["rude " * 500, "a"]))
    assert rude < polite
    assert rude == pytest.approx(-CLIP * 100.5 - 1)
    assert found.above_floor(found.rewards(ASKED, ["rude", "kind"])) == [False, True]


def test_what_trl_hands_over_is_scored_with_the_bare_question_and_the_summary_beside_it():
    seen = {}

    def spy(prompts, completions, summary, user_id, **columns):
        seen.update(prompts=prompts, summary=summary, user_id=user_id)
        return by_length(prompts, completions)

    found, logged = Goals([Goal("spy", spy)]), {}
    found.measure(ASKED, ["a", "bbb"])
    totals = found(
        prompts=[[{"role": "user", "content": "About this user: Likes green.\n\nWhich tea?"}]],
        completions=[[{"role": "assistant", "content": "bbb"}]],
        question=[[{"role": "user", "content": "Which tea?"}]], summary=["Likes green."], user_id=["ann"],
        log_metric=logged.__setitem__, split=["train"],
    )  # fmt: skip
    assert totals == [pytest.approx(1.0)]  # mean 2, spread 1
    question = [{"role": "user", "content": "Which tea?"}]
    assert seen == {"prompts": [question], "summary": ["Likes green."], "user_id": ["ann"]}
    assert logged == {"goal/spy": 3.0}


@pytest.mark.parametrize("value", [math.nan, None, math.inf])
def test_a_reward_that_is_no_number_is_named(value):
    found = goals(Goal("broken", is_kind))
    with pytest.raises(RewardError, match="'broken' returned"):
        score_answers("broken", always(value), ASKED, ["a", "b"])
    with pytest.raises(RewardError, match=r"'broken' returned .* every answer needs a finite number"):
        Goals([Goal("fine", by_length), Goal("broken", always(value))]).measure(ASKED, ["a", "b"])
    with pytest.raises(RewardError, match="returned 1 numbers for 2 answers"):
        score_answers("short", lambda **columns: [1.0], ASKED, ["a", "b"])
    assert found.set_aside == ["broken"], "where every answer is kind, kindness teaches nothing"


def test_a_constant_reward_is_set_aside_and_named_and_alone_it_stops():
    found = goals(Goal("flat", always(3.0), 9.0))
    assert found.set_aside == ["flat"]
    assert found.total(found.rewards(ASKED, ["a" * 5, "a" * 5])) == [0.0, 0.0]
    with pytest.raises(RewardError, match="nothing is left to learn from: flat gave every answer"):
        Goals([Goal("flat", always(3.0))]).measure(ASKED, ["a", "b"])


def test_weights_that_sum_to_0_and_floors_that_no_answer_reaches_are_refused():
    for weights in ((0.0,), (1.0, -1.0), (-0.5,)):
        with pytest.raises(RewardError, match="the weights sum to"):
            Goals([Goal(f"g{n}", by_length, weight) for n, weight in enumerate(weights)])
    with pytest.raises(RewardError, match=r"the weights sum to 0 .none."):
        Goals([Goal("safe", is_kind, floor=0.5)])
    with pytest.raises(RewardError, match="a weight is no number"):
        Goals([Goal("g", by_length, math.nan)])
    with pytest.raises(RewardError, match="two goals are named 'g'"):
        Goals([Goal("g", by_length), Goal("g", is_kind)])
    with pytest.raises(RewardError, match="none of the reference's 2 answers reaches the floor 2 of 'kind'"):
        Goals([Goal("g", by_length), Goal("kind", is_kind, floor=2.0)]).measure(ASKED, ["a", "bb"])


def test_rewards_of_different_tokenizers_add_up(tmp_path):
    """A BERT that reads word pieces and a Llama that reads bytes, beside a policy that has neither's."""
    models = {}
    for name in ("bert", "llama"):
        saved(tmp_path, name)
        torch.manual_seed(0)  # A fresh pooler and a fresh head.
        models[name] = RewardModel.from_pretrained(tmp_path / name, 64)
    for model in models.values():  # Heads that tell answers apart: fresh ones hardly do.
        torch.nn.init.normal_(
            (model.model.classifier if hasattr(model.model, "classifier") else model.model.score).weight
        )
    assert models["bert"].tokenizer.get_vocab() != models["llama"].tokenizer.get_vocab()
    found = Goals([Goal(name, with_summary(model)) for name, model in models.items()])
    texts = ["A cat sat.", "Green tea, of course."]
    rewards = found.measure(ASKED, texts)
    for name, model in models.items():
        assert rewards[name] == model.rewards([(a.summary, a.prompt, t) for a, t in zip(ASKED, texts, strict=True)])
    assert found.set_aside == []
    totals = found.total(rewards)  # Of two answers z is 1 and -1 for each reward.
    assert any([abs(total) for total in totals] == [pytest.approx(value, abs=1e-5)] * 2 for value in (2.0, 0.0))
