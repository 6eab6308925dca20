"""Monitor of a policy's training: evaluates it on fixed prompts, and may stop the run and restore weights.

Every `every` updates the policy answers evaluation prompts that it is not trained on, always with the same seed, so
that evaluations differ by the policy alone. Measures and thresholds are those of `hacking.py`; no score of an
evaluation reaches the gradient. When a measure is beyond its threshold in `patience` evaluations in a row, the run
stops, and the weights of the evaluation with the highest held-out reward before that are restored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from plus.jsonl import read_whole_lines, write_jsonl
from plus.measures import mean
from plus.policy import hacking
from plus.policy.hacking import Alarm, Limits, PolicyEvaluation, Scale
from plus.policy.model import Policy, UserPrompt
from plus.policy.rewards import Goals, RewardFunction, score_answers
from plus.policy.trainer import PolicyTrainer, frozen_copy
from plus.train import distributed

SEED = 20_11  # of the answers to the evaluation prompts
EVALUATIONS = "looks.jsonl"


@dataclass
class EvaluationSet:
    """Evaluation prompts with the rewards that score answers to them, and the reference's answers and scales.

    held_out: a reward that no goal uses. twins: two reward models of different seeds, of which at most one is a
    goal. Both are optional; without them their alarms are silent.
    """

    prompts: Sequence[UserPrompt]
    goals: Goals
    held_out: RewardFunction | None = None
    twins: tuple[RewardFunction, RewardFunction] | None = None

    def measure_reference(self, policy: Policy) -> None:
        """Take the reference's answers, before any training, and its scale of every score."""
        # Answers and floor; then the scale of each reward that nothing is trained on.
        self.reference = policy.answer(self.prompts, seed=SEED)
        rewards = self.goals.rewards(self.prompts, self.reference)
        self.reference_floor = mean(float(kept) for kept in self.goals.above_floor(rewards))
        self.held_out_values = self._held_out(self.prompts, self.reference) if self.held_out else []
        self.held_out_scale = Scale.of(self.held_out_values) if self.held_out else Scale(0.0, 1.0)
        if self.twins:
            one, two = (score_answers("twin", twin, self.prompts, self.reference) for twin in self.twins)
            self.twin_scales = Scale.of(one), Scale.of(two)
            self.reference_disagreement = hacking.disagreement(one, two, *self.twin_scales)

    def evaluate(
        self, policy: Policy, reference_logprobs: Callable[[Sequence[str]], list[float]], ratio: float
    ) -> PolicyEvaluation:
        """Measure the policy as it is now; a phrase has risen from `ratio` times the reference's share on."""
        texts = policy.answer(self.prompts, seed=SEED)
        # Goals, KL and surface measures, against the reference's answers.
        rewards = self.goals.rewards(self.prompts, texts)
        now, before = policy.logprobs(self.prompts, texts), reference_logprobs(texts)
        risen = hacking.risen_phrases(self.reference, texts, ratio)
        floor = mean(float(kept) for kept in self.goals.above_floor(rewards))
        found = PolicyEvaluation(
            total=mean(self.goals.total(rewards)),
            kl=mean(a - b for a, b in zip(now, before, strict=True)),
            goals={name: mean(values) for name, values in rewards.items()},
            floor=floor,
            length_ratio=hacking.words(texts) / max(hacking.words(self.reference), 1e-9),
            distinct_ratio=hacking.distinct_n(texts) / max(hacking.distinct_n(self.reference), 1e-9),
            risen=tuple(risen[:5]),
            floor_change=floor - self.reference_floor,
        )
        # Rewards that nothing is trained on.
        if self.held_out:
            found = self._with_held_out(found, texts, risen)
        if self.twins:
            one, two = (score_answers("twin", twin, self.prompts, texts) for twin in self.twins)
            apart = hacking.disagreement(one, two, *self.twin_scales)
            found = replace(found, disagreement_ratio=apart / max(self.reference_disagreement, 1e-9))
        return found

    def _with_held_out(
        self, found: PolicyEvaluation, texts: Sequence[str], risen: Sequence[hacking.RisenPhrase]
    ) -> PolicyEvaluation:
        """Add what the held-out reward measures, in standard deviations of the reference's answers."""
        scale, users = self.held_out_scale, [one.user_id for one in self.prompts]
        values = self._held_out(self.prompts, texts)
        worst = hacking.worst_decile(users, values) - hacking.worst_decile(users, self.held_out_values)
        return replace(
            found,
            held_out=(mean(values) - scale.mean) / scale.std,
            worst_decile_change=worst / scale.std,
            phrase=hacking.paid_phrase(risen, self.prompts, texts, self._total, self._held_out, scale),
        )

    def _held_out(self, prompts: Sequence[UserPrompt], texts: Sequence[str]) -> list[float]:
        assert self.held_out is not None
        return score_answers("held_out", self.held_out, prompts, texts)

    def _total(self, prompts: Sequence[UserPrompt], texts: Sequence[str]) -> list[float]:
        return self.goals.total(self.goals.rewards(prompts, texts))


class Monitor(TrainerCallback):
    """Callback that evaluates the policy, writes looks.jsonl, stops the run and restores the last good weights.

    `stopped` holds the alarms that ended the run, `restored` the update whose weights remain. With `stop` false it
    only evaluates.
    """

    def __init__(
        self,
        trainer: PolicyTrainer,
        policy: Policy,
        evaluation_set: EvaluationSet,
        folder: Path,
        every: int = 5,
        limits: Limits | None = None,
        stop: bool = True,
    ) -> None:
        self.trainer, self.policy, self.evaluation_set = trainer, policy, evaluation_set
        self.folder, self.every, self.limits, self.stop = folder, every, limits or Limits.default(), stop
        # With adapters the reference is the model without them, so only full fine-tuning needs a copy.
        self.reference = None if isinstance(trainer.model, PeftModel) else frozen_copy(policy)
        self.evaluations: list[PolicyEvaluation] = []
        self.stopped: tuple[Alarm, ...] = ()
        self.restored: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # After a resume: evaluations up to the checkpoint, and a run that was stopped stays so.
        rows = [row for row in read_whole_lines(self.folder / EVALUATIONS) if row["step"] <= state.global_step]
        self.evaluations = [PolicyEvaluation.from_json(row) for row in rows]
        if not self.evaluations:
            self._evaluate(0)
        if self.stop and any(one.stopped for one in self.evaluations):
            control.should_training_stop = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.every:
            return
        if self._evaluate(state.global_step).stopped and self.stop:
            control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        last = self.evaluations[-1]
        if self.stop and last.stopped:
            self.stopped = last.alarms
            self.restored = step_to_restore(self.evaluations)
            self._restore(self.restored)

    def _evaluate(self, step: int) -> PolicyEvaluation:
        """Evaluate the policy after `step` updates, log it, and keep its weights while they may be restored."""
        self.policy.model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        found = self.evaluation_set.evaluate(self.policy, self._reference_logprobs, self.limits.phrase_ratio)
        found = replace(found, step=step, held_out_fall=self._held_out_fall(found))
        alarms = hacking.find_alarms(found, self.limits)
        # Stopped by the measures that were beyond their thresholds in `patience` evaluations in a row.
        before = [{alarm.name for alarm in one.alarms} for one in self.evaluations[1 - self.limits.patience :]]
        enough = len(before) >= self.limits.patience - 1
        stopped = sorted({alarm.name for alarm in alarms if enough and all(alarm.name in names for names in before)})
        found = replace(found, alarms=tuple(alarms), stopped=tuple(stopped))
        self.evaluations.append(found)
        self._log(found)
        self._keep_weights(step)
        return found

    def _held_out_fall(self, found: PolicyEvaluation) -> float | None:
        """Measure how far the held-out reward lies below its best; 0 where the total has fallen too."""
        if found.held_out is None:
            return None
        past = [one.held_out for one in self.evaluations if one.held_out is not None]
        rising = not self.evaluations or found.total >= self.evaluations[-1].total - 0.1
        # Pairs of evaluations, so that one lucky evaluation sets no record.
        best = max((mean(pair) for pair in pairwise(past)), default=found.held_out)
        return best - found.held_out if rising else 0.0

    def _log(self, found: PolicyEvaluation) -> None:
        """Add a line to looks.jsonl, in the one process that writes; later lines of a run before a resume go."""
        if distributed.is_main():
            rows = [row for row in read_whole_lines(self.folder / EVALUATIONS) if row["step"] < found.step]
            write_jsonl(self.folder / EVALUATIONS, [*rows, found.to_json()])

    def _reference_logprobs(self, texts: Sequence[str]) -> list[float]:
        """Compute the reference's log-probabilities of the answers."""
        if self.reference is not None:
            return self.reference.logprobs(self.evaluation_set.prompts, texts)
        assert isinstance(self.policy.model, PeftModel)
        with self.policy.model.disable_adapter():
            return self.policy.logprobs(self.evaluation_set.prompts, texts)

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self.policy.model.named_parameters() if p.requires_grad}

    def _keep_weights(self, step: int) -> None:
        """Save the weights of every evaluation that may still be the one to restore, and delete the others."""
        if self.stop and distributed.is_main():
            # Trained weights alone: with LoRA a few megabytes an evaluation.
            folder = self.folder / "looks"
            folder.mkdir(exist_ok=True)
            save_file({n: p.detach().contiguous() for n, p in self._trained().items()}, folder / f"{step}.safetensors")
            kept = {step, *_candidates(self.evaluations)}
            for path in folder.glob("*.safetensors"):
                if int(path.stem) not in kept:
                    path.unlink()

    @torch.no_grad()
    def _restore(self, step: int) -> None:
        if distributed.several():
            torch.distributed.barrier()  # The file is the first process's.
        kept = load_file(self.folder / "looks" / f"{step}.safetensors")
        for name, parameter in self._trained().items():
            parameter.copy_(kept[name])


def step_to_restore(evaluations: Sequence[PolicyEvaluation]) -> int:
    """Choose the update to restore: the one with the highest held-out reward before the alarms.

    The evaluations with alarms at the end do not count; without a held-out reward it is the newest before them.
    """
    clean = list(evaluations)
    while len(clean) > 1 and clean[-1].alarms:
        clean.pop()
    held_out = [(one.held_out, one.step) for one in clean if one.held_out is not None]
    if clean[-1].held_out is None:
        return clean[-1].step
    return max(held_out, key=lambda pair: pair[0])[1]


def _candidates(evaluations: Sequence[PolicyEvaluation]) -> set[int]:
    """Find the updates that may become the one to restore after later evaluations."""
    return {step_to_restore(evaluations[:end]) for end in range(1, len(evaluations) + 1)}
