"""Goals file: every kind of goal, and one line for each mistake."""

from __future__ import annotations

import dataclasses

import pytest
from support.love_logs import log

from plus.errors import PlusError, RewardError, SettingError
from plus.love.model import CLASSIFIER, ClassifierLoveModel
from plus.love.run import fit
from plus.models.reward_model import RewardModel
from plus.policy.model import UserPrompt
from plus.policy.rewards import score_answers
from plus.policy.rewards_file import read, words_beyond
from plus.resources import shipped

MODULE = """
def polite(completions, **columns):
    return [float("please" in completion[-1]["content"]) for completion in completions]
"""


def test_every_kind_of_goal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy_rewards.py").write_text(MODULE)
    path = tmp_path / "goals.yaml"
    path.write_text(
        f"goals:\n  liked: {{reward_model: {shipped('tiny_base')}, weight: 0.5}}\n  brief: {{words: 3}}\n"
        '  polite: {function: "policy_rewards:polite", floor: 0.5}\nheld_out: {words: 2}\n'
        f"twin: {{reward_model: {shipped('tiny_base')}}}\n"
    )
    file = read(path, {"brief": 0.25})
    goals = [("liked", 0.5, None), ("brief", 0.25, None), ("polite", 1.0, 0.5)]
    assert [(goal.name, goal.weight, goal.floor) for goal in file.goals.goals] == goals
    found = file.goals.rewards([UserPrompt("Tea?", "Likes tea.")], ["one two three please five"])
    assert (found["brief"], found["polite"]) == ([-2.0], [1.0])
    assert file.twins[0] is file.goals.goals[0].reward
    assert score_answers("held", file.held_out, [UserPrompt("Tea?")], ["one two three"]) == [-1.0]
    assert words_beyond(2)(completions=["a b", "a b c d"]) == [0.0, -2.0]


@pytest.mark.parametrize("condition", ["none", "history"])
def test_p_love_is_a_goal_and_reads_summaries_if_it_was_trained_with_texts(tmp_path, condition):
    def new_model():
        return ClassifierLoveModel(RewardModel.from_pretrained(shipped("tiny_base"), max_length=256))

    settings = dataclasses.replace(
        CLASSIFIER, max_steps=2, look_every=2, users_per_step=3, reactions_per_user=2, condition=condition
    )
    love = fit(log(users=12, each=8), settings, new_model)
    love.save(tmp_path / "love")
    path = tmp_path / "goals.yaml"
    path.write_text(f"goals:\n  loved: {{love: {tmp_path / 'love'}, weight: 0.1}}\n")
    (goal,) = read(path).goals.goals
    asked = [UserPrompt("Say something.", "Likes cats best."), UserPrompt("Say something.", "")]
    told, untold = score_answers("loved", goal.reward, asked, ["I saw some old cats."] * 2)
    assert untold == pytest.approx(love.probability("", "Say something.", "I saw some old cats."), abs=1e-6)
    assert (abs(told - untold) < 1e-6) == (condition == "none")


@pytest.mark.parametrize(
    ("text", "kind", "complaint"),
    [
        ("[1]", SettingError, "holds list"),
        ("goals: {}", SettingError, "has no goals"),
        ("goals: {a: {words: 3}}\nextra: 1", SettingError, "has an entry 'extra'"),
        (
            "goals: {a: {weight: 3}}",
            SettingError,
            "takes one of run, reward_model, love, function, words and weight or floor",
        ),
        ("goals: {a: {words: 3, run: x}}", SettingError, "the entry 'a' is"),
        ("goals: {a: {words: 3, wieght: 2}}", SettingError, "the entry 'a' is"),
        ("goals: {a: {words: many}}", SettingError, "words of 'a' is 'many'"),
        ("goals: {a: {words: 3, weight: much}}", SettingError, "weight of 'a' is 'much'"),
        ("goals: {a: {words: 3, weight: 0}}", RewardError, "the weights sum to 0"),
        ("goals: {a: {run: nowhere}}", PlusError, "nowhere is no run folder"),
        ("goals: {a: {love: nowhere}}", PlusError, "nowhere holds no P.Love."),
        ('goals: {a: {function: "nomodule:f"}}', PlusError, "cannot be found"),
        ("goals: {a: {words: 3}}\nheld_out: {words: 3, weight: 1}", SettingError, "the entry 'held_out' is"),
        ("{", SettingError, "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, kind, complaint):
    path = tmp_path / "goals.yaml"
    path.write_text(text)
    with pytest.raises(kind, match=complaint):
        read(path)


def test_a_weight_for_a_goal_that_is_not_there(tmp_path):
    (tmp_path / "goals.yaml").write_text("goals: {a: {words: 3}}")
    with pytest.raises(SettingError, match=r"there is no goal 'b' in .*; it has a"):
        read(tmp_path / "goals.yaml", {"b": 1.0})
    with pytest.raises(SettingError, match="cannot be read"):
        read(tmp_path / "none.yaml")
