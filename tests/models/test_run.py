"""plus.load: a trained run as one object."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import plus
from plus.errors import ModelError
from plus.types import Preference

CATS = [
    {"prompt": "Tell me about home.", "chosen": "I saw some cats.", "rejected": f"I saw some {x}."}
    for x in ("dogs", "fish", "birds")
]


@pytest.fixture(scope="module")
def run(demo):
    return plus.load(demo["run"])


def test_summarize_then_prefer_agree_with_the_parts(run):
    summary = run.summarize(CATS)
    good, bad = "Let me start with cats.", "Let me start with horses."
    margin = run.score(summary, "Say something.", good) - run.score(summary, "Say something.", bad)
    (expected,) = run.reward_model.log_likelihood([summary], [Preference("Say something.", good, bad)])
    assert run.prefer(CATS, "Say something.", good, bad) == pytest.approx(1 / (1 + 2.718281828459045**-margin))
    assert run.prefer(CATS, "Say something.", good, bad) + run.prefer(
        CATS, "Say something.", bad, good
    ) == pytest.approx(1)
    assert expected < 0


def test_the_reward_function_speaks_trl(run, demo):
    """Both of TRL's formats, summaries given or looked up by user, unknown users scored without one."""
    reward = run.as_reward_function()
    prompts, answers = ["Tell me.", "Tell me."], ["I saw some cats.", "I saw some dogs."]
    plain = reward(prompts=prompts, completions=answers, summary=["The user likes cats best."] * 2, trainer_state=None)
    assert plain[0] > plain[1]
    one_by_one = [run.score("The user likes cats best.", p, a) for p, a in zip(prompts, answers, strict=True)]
    assert plain == pytest.approx(one_by_one, abs=1e-5), "float32 sums differ between batch shapes in the last digits"
    chat = reward(
        prompts=[[{"role": "user", "content": p}] for p in prompts],
        completions=[[{"role": "assistant", "content": a}] for a in answers],
        summary=["The user likes cats best."] * 2,
    )
    assert chat == plain
    stored = [json.loads(line) for line in (Path(demo["run"]) / "summaries.jsonl").read_text().splitlines()]
    by_user = reward(prompts=prompts, completions=answers, user_id=[stored[0]["user_id"], "nobody"])
    known, unknown = run.score(stored[0]["summary"], "Tell me.", answers[0]), run.score("", "Tell me.", answers[1])
    assert by_user == pytest.approx([known, unknown], abs=1e-5)


def test_plain_transformers_loads_the_reward_model(run, demo):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = Path(demo["run"]) / "reward_model"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [
        {"role": "user", "content": "About this user: The user likes cats best.\n\nTell me."},
        {"role": "assistant", "content": "Cats."},
    ]
    inputs = tokenizer(
        tokenizer.apply_chat_template(messages, tokenize=False), add_special_tokens=False, return_tensors="pt"
    )
    ours = run.score("The user likes cats best.", "Tell me.", "Cats.")
    assert model(**inputs).logits.item() == pytest.approx(ours, abs=1e-5)


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"is no run folder \(no config.json\)"):
        plus.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="has no summarizer/ yet: its training has not finished"):
        plus.load(tmp_path)
