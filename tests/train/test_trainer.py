"""PLUSTrainer against loop.py, the reward model in evaluation, and what moves."""

from __future__ import annotations

import copy

import pytest
import torch
from support.trainers import config, population
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from plus.models.completions import completion_logprobs
from plus.models.text import encode
from plus.train import loop
from plus.train.coadapt import CoAdaptation
from plus.train.trainer import PLUSTrainer, coadaptation, dataset, in_training_order


@pytest.mark.parametrize("seed", [5, 6, 7])
@pytest.mark.parametrize("options", [{}, {"separate_pairs": True, "summary_dropout": 0.5, "beta": 0.1}])
def test_a_step_of_the_trainer_equals_a_step_of_the_loop(tmp_path, base, reward_model, options, seed):
    """Loss and every gradient of both networks, in float64, to 1e-9."""
    base.model.double()
    reward_model.model.double()
    args = config(tmp_path, seed=seed, max_grad_norm=0.0, **options)
    twin_summarizer, twin_reward_model = copy.deepcopy(base), copy.deepcopy(reward_model)
    contexts = population().contexts("train")
    trainer = PLUSTrainer(base.model, reward_model, args, dataset(contexts, base), processing_class=base.tokenizer)
    recorder = Recorder()
    trainer.add_callback(recorder)
    reward_gradients = record_gradients(trainer.coadaptation)
    prepare = trainer._prepare_inputs
    trainer._prepare_inputs = lambda batch: recorder.inputs.append(prepare(batch)) or recorder.inputs[-1]
    trainer.train()

    inputs, rows = recorder.inputs[0], [row for row, _ in trainer.coadaptation.last]
    order = match_rows(inputs, base, rows)

    def replay(histories, num_generations):
        """The completions that the trainer sampled, scored by the twin."""
        mask_NT = inputs["completion_mask"][order]
        ids_NL = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)[order]
        attention_NL = torch.cat([inputs["prompt_mask"][order], mask_NT], dim=1)
        logprobs_NT, _ = completion_logprobs(twin_summarizer.model, ids_NL, attention_NL, mask_NT.shape[1])
        with torch.no_grad():
            reference_NT, _ = completion_logprobs(trainer.ref_model, ids_NL, attention_NL, mask_NT.shape[1])
        return [row.text for row in rows], logprobs_NT, reference_NT, mask_NT

    by_user = {context.history.user_id: context for context in contexts}
    taken = [by_user[rows[number].user_id] for number in range(0, 16, 4)]
    twin = coadaptation(twin_reward_model, args)
    twin_reward_gradients = record_gradients(twin)
    loss, metrics = loop.step(replay, twin, taken, args.num_generations, args.beta)
    loss.backward()

    assert recorder.logged["loss"] == pytest.approx(loss.item(), abs=1e-9)
    assert recorder.logged["reward"] == pytest.approx(metrics["reward"], abs=1e-6)
    twin_gradients = {name: p.grad for name, p in twin_summarizer.model.named_parameters()}
    equal(recorder.gradients, twin_gradients)
    equal(reward_gradients, twin_reward_gradients)
    equal(snapshot(reward_model.model), snapshot(twin_reward_model.model))
    assert all(gradient.abs().sum() > 0 for gradient in [*twin_gradients.values(), *reward_gradients.values()])


class Recorder(TrainerCallback):
    """What one real step of the trainer computed."""

    def __init__(self) -> None:
        self.inputs: list[dict] = []
        self.gradients: dict[str, torch.Tensor] = {}
        self.logged: dict[str, float] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients = {name: p.grad.clone() for name, p in model.named_parameters()}

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logged = {**logs, **self.logged}


def record_gradients(of: CoAdaptation) -> dict[str, torch.Tensor]:
    kept: dict[str, torch.Tensor] = {}
    named = list(of.reward_model.model.named_parameters())
    of.optimizer.register_step_pre_hook(lambda *_: kept.update({name: p.grad.clone() for name, p in named}))
    return kept


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys() and one
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=0, atol=1e-9, msg=name)


def match_rows(inputs, summarizer, rows) -> list[int]:
    """TRL shuffles after scoring: the trainer's row for each of ours, by its prompt and its text."""
    texts = [
        text.strip() for text in summarizer.tokenizer.batch_decode(inputs["completion_ids"], skip_special_tokens=True)
    ]
    prompts = [ids[mask.bool()].tolist() for ids, mask in zip(inputs["prompt_ids"], inputs["prompt_mask"], strict=True)]
    histories = {context.history.user_id: context.history for context in population().contexts("train")}
    free, order = set(range(len(rows))), []
    for row in rows:
        (prompt,) = encode(summarizer.tokenizer, [summarizer.messages(histories[row.user_id])], generate=True)
        found = next(number for number in sorted(free) if texts[number] == row.text and prompts[number] == prompt)
        free.remove(found)
        order.append(found)
    return order


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_both_networks_move_and_the_reference_does_not(tmp_path, base, reward_model):
    summarizer_before, reward_before = snapshot(base.model), snapshot(reward_model.model)
    trainer = PLUSTrainer(
        base.model,
        reward_model,
        config(tmp_path, max_steps=2),
        dataset(population().contexts("train"), base),
        processing_class=base.tokenizer,
    )
    trainer.train()
    assert same(summarizer_before, snapshot(trainer.ref_model)), "the reference must stay what the summarizer was"
    for before, after in ((summarizer_before, base.model), (reward_before, reward_model.model)):
        still = [name for name, tensor in after.state_dict().items() if torch.equal(tensor, before[name])]
        assert not still, f"unmoved: {still}"


def test_stock_grpo_with_an_eval_set_moves_no_reward_model_weight_in_evaluation(tmp_path, base, reward_model):
    users = population()
    reward = CoAdaptation(reward_model, torch.optim.AdamW(reward_model.model.parameters(), lr=1e-3))
    args = GRPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True,
        report_to="none", max_steps=2, num_generations=4, per_device_train_batch_size=16, per_device_eval_batch_size=8,
        max_completion_length=16, beta=0.0, save_strategy="no",
    )  # fmt: skip
    trainer = GRPOTrainer(
        base.model, reward, args, train_dataset=dataset(users.contexts("train"), base),
        eval_dataset=dataset(users.contexts("test"), base), processing_class=base.tokenizer,
    )  # fmt: skip
    before = snapshot(reward_model.model)
    measured = trainer.evaluate()
    assert same(before, snapshot(reward_model.model)) and reward.updates == 0
    assert "eval_accuracy_other" in measured
    trainer.train()
    assert reward.updates == 2 and not same(before, snapshot(reward_model.model))
    # The planted fault: evaluation rows that call themselves training rows do move it.
    planted = dataset(users.contexts("test"), base).map(lambda row: {"split": "train"})
    before = snapshot(reward_model.model)
    trainer.evaluate(planted)
    assert not same(before, snapshot(reward_model.model))


def test_rows_come_once_each_before_any_comes_again_and_the_seed_fixes_them(base):
    rows = dataset(population().contexts("train"), base)
    order = in_training_order(rows, 20, seed=1)["user_id"]
    assert sorted(order[:8]) == sorted(rows["user_id"]) == sorted(order[8:16])
    assert order[:8] != order[8:16]
    assert list(order) == list(in_training_order(rows, 20, seed=1)["user_id"])
    assert list(order) != list(in_training_order(rows, 20, seed=2)["user_id"])
