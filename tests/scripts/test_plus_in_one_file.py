"""The method in one file against loop.step: losses and every gradient of both models, in float64, to 1e-9."""

from __future__ import annotations

import ast
import copy
import random
from pathlib import Path

import plus_in_one_file as one_file
import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from plus.models.completions import completion_logprobs
from plus.train import loop
from plus.train.coadapt import CoAdaptation

BETA, GENERATIONS = 0.1, 4


@pytest.mark.parametrize("seed", [0, 1])
def test_a_step_of_the_file_equals_a_step_of_the_loop(base, reward_model, seed, monkeypatch):
    """The loop scores equal summaries once and weights them, the file scores each: only rounding may differ."""
    monkeypatch.setattr(LlamaRMSNorm, "forward", norm_in_own_type)
    summarizer, reading = base.model.double(), reward_model.model.double()
    reference = copy.deepcopy(summarizer)
    with torch.no_grad():  # Else the KL and its gradient would be zero.
        for parameter in reference.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    twin, twin_reading = copy.deepcopy(summarizer), copy.deepcopy(reward_model)
    rng = random.Random(seed)
    users = [one_file.user(rng) for _ in range(4)]
    users = [u._replace(history=one_file.UserHistory(f"u{n}", u.history.events)) for n, u in enumerate(users)]
    torch.manual_seed(seed)
    sampled = one_file.sample(summarizer, base.tokenizer, users, GENERATIONS, temperature=2.0)
    assert 0 < sampled.mask_NT.sum() < sampled.mask_NT.numel(), "some summaries are shorter than others"

    loss, reward_model_loss, rewards_N = one_file.losses(
        summarizer, reference, reading, base.tokenizer, users, sampled, BETA
    )
    loss.backward()
    reward_model_loss.backward()

    def replay(histories, num_generations):
        """The file's summaries, scored by the twin."""
        tokens = sampled.ids_NL, sampled.attention_NL, sampled.mask_NT.shape[1]
        logprobs_NT, _ = completion_logprobs(twin, *tokens)
        with torch.no_grad():
            reference_NT, _ = completion_logprobs(reference, *tokens)
        return sampled.texts, logprobs_NT, reference_NT, sampled.mask_NT

    still = torch.optim.SGD(twin_reading.model.parameters(), lr=0.0)
    coadaptation = CoAdaptation(twin_reading, still, pairs_per_user=9, summary_dropout=0.0, max_grad_norm=0.0)
    twin_gradients = record_gradients(coadaptation)
    contexts = [loop.Context(u.history, tuple(u.pairs)) for u in users]
    twin_loss, metrics = loop.step(replay, coadaptation, contexts, GENERATIONS, BETA)
    twin_loss.backward()

    assert loss.item() == pytest.approx(twin_loss.item(), abs=1e-9)
    assert reward_model_loss.item() == pytest.approx(metrics["reward_model_loss"], abs=1e-9)
    assert rewards_N.mean().item() == metrics["reward"]
    equal({name: p.grad for name, p in summarizer.named_parameters()}, {n: p.grad for n, p in twin.named_parameters()})
    equal({name: p.grad for name, p in reading.named_parameters()}, twin_gradients)


def norm_in_own_type(self, hidden):
    """Llama's norm without its detour through float32, which alone would cost seven digits."""
    return self.weight * hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + self.variance_epsilon)


def record_gradients(of: CoAdaptation) -> dict[str, torch.Tensor]:
    kept: dict[str, torch.Tensor] = {}
    named = list(of.reward_model.model.named_parameters())
    of.optimizer.register_step_pre_hook(lambda *_: kept.update({name: p.grad.clone() for name, p in named}))
    return kept


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys() and one
    for name, tensor in one.items():
        assert tensor.abs().sum() > 0, f"{name} has no gradient"
        torch.testing.assert_close(tensor, two[name], rtol=0, atol=1e-9, msg=name)


def test_only_nouns_and_prompts_come_from_plus_and_the_file_is_short():
    text = Path(one_file.__file__).read_text()
    assert len(text.splitlines()) <= 150
    imported = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert {module for module in imported if module.startswith("plus")} == {"plus.types", "plus.prompts"}


def test_it_runs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["plus_in_one_file.py", "--steps", "2", "--users", "2", "--num_generations", "2"])
    one_file.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["1", "reward"], ["2", "reward"]]
