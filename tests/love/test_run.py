"""P[Love] learns, is calibrated after upsampling, respects time, and is a TRL reward; planted faults are caught."""

from __future__ import annotations

import dataclasses
import json
import math
import random

import pytest
import torch
from support.love_logs import START, log
from support.words import embeddings

from plus.errors import ModelError, RunError, SettingError
from plus.love import model as love_model
from plus.love.batches import Upsampling, UserTexts
from plus.love.measures import auroc, auroc_difference, calibration_error, calibration_slope
from plus.love.model import (
    CLASSIFIER,
    ClassifierLoveModel,
    FrozenLoveModel,
    Love,
    LoveSettings,
    frozen_models,
    tempered,
)
from plus.love.regressions import Additive
from plus.love.run import EMPTY, LOVE, SHUFFLED, fit, fit_temperature, score_splits, scored_reactions
from plus.love.splits import split_by_user
from plus.models.reward_model import RewardModel
from plus.resources import shipped
from plus.types import Event, Reaction

QUICK = LoveSettings(max_steps=60, look_every=20, members=1, users_per_step=16)


def new_models():
    return frozen_models(read_prompts=False, embeddings=embeddings())


@pytest.fixture(scope="module")
def trained():
    events = log(users=60, each=30)
    return events, fit(events, QUICK, new_models())


def lines(taste, other):
    return f"Agreed: I saw some old {taste}.\nAgreed: I fed some red {taste}.\nDisagreed: I saw some old {other}."


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_users_history_beats_the_additive_baseline_and_another_users_does_not(seed):
    splits = split_by_user(log(users=90, each=30, seed=seed), 3, seed)[:1]
    found = score_splits(splits, dataclasses.replace(QUICK, seed=seed), new_models(), UserTexts("history"))
    best = auroc_difference(found[LOVE], found["rate + own rate + leniency"])
    assert best.mean > 0.05 and best.low > 0, best
    assert auroc_difference(found[LOVE], found[EMPTY]).low > 0
    assert auroc_difference(found[LOVE], found[SHUFFLED]).low > 0  # Half of the others love the other kind.


def sparse(users=150, seed=0):
    return log(users=users, each=40, base=-3.2, seed=seed)


def rare(settings, monkeypatch=None, fault=None):
    split = split_by_user(sparse(), 3)[0]
    if fault is not None:
        monkeypatch.setattr(love_model, "tempered", fault)
    love = fit(split.train, settings, new_models())
    return love, scored_reactions(split.held_out, love.predict(split.held_out))


def test_upsampled_to_a_third_the_probabilities_are_still_of_the_true_rate():
    love, rows = rare(dataclasses.replace(QUICK, positive_share=0.35))
    assert love.upsampling.rate < 0.16 and love.upsampling.share == 0.35
    slope, error = calibration_slope(rows), calibration_error(rows)
    assert slope.slope.low < 1 < slope.slope.high, slope
    assert slope.intercept.low < 0 < slope.intercept.high, slope
    assert error.ece - error.if_perfect <= 0.02, error


def test_a_missing_prior_correction_is_caught(monkeypatch):
    _, rows = rare(
        dataclasses.replace(QUICK, positive_share=0.35), monkeypatch, lambda f_N, upsampling, temperature: f_N
    )
    slope, error = calibration_slope(rows), calibration_error(rows)
    assert slope.intercept.high < 0, slope
    assert error.ece - error.if_perfect > 0.05, error


def late(seed=0):
    """Users whose taste shows only in the last 40 % of their time: before, they toss a coin."""
    rng = random.Random(f"late-{seed}")
    return {
        user: [
            e
            if place >= 18
            else dataclasses.replace(e, content=dataclasses.replace(e.content, label=rng.random() < 0.5))
            for place, e in enumerate(past)
        ]
        for user, past in log(users=60, each=30, seed=seed, strength=4.0).items()
    }


def test_a_time_leak_would_be_seen_in_the_figure():
    """A split that ignores time reads the future; on users whose taste is late only such a split can predict."""
    rng = random.Random(0)
    mixed = {
        user: [dataclasses.replace(e, time=START + n) for n, e in enumerate(rng.sample(past, len(past)))]
        for user, past in late().items()
    }
    area = {}
    for name, events in (("honest", late()), ("leaking", mixed)):
        split = split_by_user(events, 3)[0]
        love = fit(split.train, QUICK, new_models())
        rows = [
            row for row in scored_reactions(split.held_out, love.predict(split.held_out)) if int(row.example[1:]) >= 18
        ]
        area[name] = auroc(rows)
    assert area["honest"].mean < 0.65, area
    assert area["leaking"].low > area["honest"].high, area


def test_temperature_corrects_over_confidence_and_keeps_the_rate():
    rng = torch.Generator().manual_seed(0)
    truth = torch.randn(20_000, generator=rng) * 1.5 - 2
    labels = (torch.rand(20_000, generator=rng) < torch.sigmoid(truth)).float()
    rate = labels.mean().item()
    found = Upsampling(rate, 0.4)
    base = math.log(rate / (1 - rate))
    as_trained = base + 2.5 * (truth - base) + found.shift
    assert fit_temperature(as_trained, labels, found) == pytest.approx(1 / 2.5, abs=0.02)
    assert tempered(torch.tensor([base + found.shift]), found, 0.3).item() == pytest.approx(base)
    assert fit_temperature(torch.zeros(0), torch.zeros(0), found) == 1.0


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    events, short = log(users=20, each=12), dataclasses.replace(QUICK, max_steps=5, look_every=5)
    asked = [Reaction("", "I saw some old cats.", True)] * 1
    one, two, other = (
        fit(events, dataclasses.replace(short, seed=s), new_models()).logits([""], asked) for s in (0, 0, 1)
    )
    assert one == two != other


def test_the_reward_function_takes_trls_columns_as_text_and_as_turns(trained):
    _, love = trained
    reward = love.as_reward_function()
    plain = reward(
        prompts=["p", "p"],
        completions=["I saw some old cats.", "I saw some old dogs."],
        summary=[lines("cats", "dogs")] * 2,
        trainer_state=None,
    )
    turns = [[{"role": "user", "content": "p"}]] * 2
    answers = [[{"role": "assistant", "content": text}] for text in ("I saw some old cats.", "I saw some old dogs.")]
    assert reward(prompts=turns, completions=answers, summary=[lines("cats", "dogs")] * 2, other=[1, 2]) == plain
    assert plain[0] > 0.6 > 0.4 > plain[1]
    turned = reward(
        prompts=["p", "p"],
        completions=["I saw some old cats.", "I saw some old dogs."],
        summary=[lines("dogs", "cats")] * 2,
    )
    assert turned[0] < turned[1]
    unknown = reward(["p"], ["I saw some old cats."])
    assert plain[0] > unknown[0] > turned[0]
    assert unknown[0] == pytest.approx(love.probability("", "p", "I saw some old cats."))


def test_a_saved_model_predicts_the_same_and_its_folder_holds_no_user_data(trained, tmp_path):
    events, love = trained
    love.save(tmp_path / "love")
    again = Love.load(tmp_path / "love", embeddings())
    tested = split_by_user(events, 3)[0].held_out
    assert again.predict(tested) == love.predict(tested)
    assert again.settings == love.settings and again.upsampling == love.upsampling
    stored = b"".join(path.read_bytes() for path in (tmp_path / "love").rglob("*") if path.is_file())
    assert b"cats" not in stored and b"u001" not in stored
    with pytest.raises(RunError, match="nothing is overwritten"):
        love.save(tmp_path / "love")
    with pytest.raises(ModelError, match=r"no love\.json"):
        Love.load(tmp_path)


def test_a_classifier_is_trained_through_and_saved_as_hugging_face_folders(tmp_path):
    events = log(users=16, each=10)
    settings = dataclasses.replace(
        CLASSIFIER, max_steps=3, look_every=3, learning_rate=1e-3, users_per_step=3, reactions_per_user=2
    )

    def new_model():
        return ClassifierLoveModel(RewardModel.from_pretrained(shipped("tiny_base"), max_length=256))

    before = {name: value.clone() for name, value in new_model().reward_model.model.named_parameters()}
    love = fit(events, settings, new_model)
    after = dict(love.models[0].reward_model.model.named_parameters())
    assert any(not torch.equal(before[name], after[name]) for name in before if "embed" in name)
    love.save(tmp_path / "love")
    again = Love.load(tmp_path / "love")
    asked = [Reaction("Say something.", "I saw some old cats.", True)]
    assert again.logits(["Likes cats."], asked) == pytest.approx(love.logits(["Likes cats."], asked), abs=1e-5)
    assert json.loads((tmp_path / "love" / "love.json").read_text())["kind"] == "classifier"
    assert love.models[0].features(asked * 2).shape == (2, 64)


def test_the_summary_condition_needs_summaries():
    texts = UserTexts("summary", {"ann": "Loves cats."})
    assert texts.of("ann", []) == "Loves cats."
    assert texts.of("bob", []) == ""
    with pytest.raises(SettingError, match="--condition summary needs texts"):
        UserTexts("summary")
    with pytest.raises(SettingError, match="it takes none, history, summary"):
        UserTexts("mood")


@pytest.mark.slow
def test_summaries_are_read():
    """Half of the users, with summaries that name the kind; the model reads them like any line."""
    events = log(users=60, each=30, strength=3.0)
    texts = UserTexts(
        "summary", {user: "I fed some calm " + ("cats." if int(user[1:]) % 2 == 0 else "dogs.") for user in events}
    )
    split = split_by_user(events, 3)[0]
    settings = dataclasses.replace(QUICK, condition="summary")
    found = score_splits([split], settings, new_models(), texts)
    assert auroc_difference(found[LOVE], found[EMPTY]).low > 0.05


def test_prompts_are_read_where_there_are_several():
    with_prompts, without = (FrozenLoveModel(embeddings(), one) for one in (True, False))
    asked = [Reaction("About cats", "Yes.", True), Reaction("About dogs", "Yes.", True)]
    one, two = with_prompts.features(asked)
    assert not torch.equal(one, two)
    one, two = without.features(asked)
    assert torch.equal(one, two)


def test_a_user_who_only_ever_reacted_once_can_be_trained_on():
    events = log(users=20, each=10) | {
        "once": [Event("e", "reaction", Reaction("", "I saw some old cats.", True), START)]
    }
    love = fit(events, dataclasses.replace(QUICK, max_steps=4, look_every=2), new_models())
    assert math.isfinite(love.probability("", "", "I saw some old cats."))


def test_the_additive_baseline_and_the_model_are_scored_on_the_same_rows():
    split = split_by_user(log(users=30, each=12), 3)[0]
    rows = scored_reactions(split.held_out, Additive(split.train).predict(split.held_out))
    assert [(r.user_id, r.example) for r in rows] == [
        (one.user_id, e.id) for one in split.held_out for e in one.targets
    ]
