"""Somebody looks at fixed prompts while a policy trains, and may stop it.

Every `every` updates the policy answers a *panel* of prompts that it is not trained on, always with
the same seed, so that looks differ by the policy alone. Measures and thresholds are those of
`alarms.py`; none of what a look scores ever reaches the gradient. When a measure is beyond its
threshold at `patience` looks in a row the run stops, and the weights go back to the look at which the
held-out reward stood highest before that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from plus.jsonl import read_whole_lines
from plus.measures import mean
from plus.policy import hacking
from plus.policy.hacking import Scales
from plus.policy.model import Asked, Policy
from plus.policy.rewards import Goals, RewardFunction, scored
from plus.policy.trainer import PolicyTrainer, frozen, log_line
from plus.resources import thresholds
from plus.train import distributed

SEED = 20_11  # of the panel's answers


@dataclass
class Panel:
    """What is looked at: prompts, the goals, a reward that is not climbed, and a twin of one that is.

    `held_out` is a reward that no goal uses. `twins` are two reward models of different seeds, of
    which at most one is a goal. Both are optional: without them their alarms stay silent.
    """

    asked: Sequence[Asked]
    goals: Goals
    held_out: RewardFunction | None = None
    twins: tuple[RewardFunction, RewardFunction] | None = None

    def meet(self, policy: Policy) -> None:
        """Take the reference's answers, before any training, and its scale of every number."""
        self.reference = policy.answer(self.asked, seed=SEED)
        rewards = self.goals.rewards(self.asked, self.reference)
        self.reference_floor = mean(float(kept) for kept in self.goals.above_floor(rewards))
        self.held_values = self._held(self.asked, self.reference) if self.held_out else []
        self.held_scale = Scales.of(self.held_values) if self.held_out else Scales(0.0, 1.0)
        if self.twins:
            one, two = (scored("twin", twin, self.asked, self.reference) for twin in self.twins)
            self.twin_scales = Scales.of(one), Scales.of(two)
            self.reference_apart = hacking.disagreement(one, two, *self.twin_scales)

    def look(self, policy: Policy, reference_logprobs: Callable[[Sequence[str]], list[float]], ratio: float) -> dict[str, Any]:  # fmt: skip
        """Everything that can be measured of the policy as it is now."""
        texts = policy.answer(self.asked, seed=SEED)
        rewards = self.goals.rewards(self.asked, texts)
        now, before = policy.logprobs(self.asked, texts), reference_logprobs(texts)
        risen = hacking.rises(self.reference, texts, ratio)
        found: dict[str, Any] = {
            "total": mean(self.goals.total(rewards)),
            "kl": mean(a - b for a, b in zip(now, before, strict=True)),
            "goals": {name: mean(values) for name, values in rewards.items()},
            "floor": mean(float(kept) for kept in self.goals.above_floor(rewards)),
            "length_ratio": hacking.words(texts) / max(hacking.words(self.reference), 1e-9),
            "distinct_ratio": hacking.distinct_n(texts) / max(hacking.distinct_n(self.reference), 1e-9),
            "risen": hacking.most_common(risen),
        }
        found["floor_change"] = found["floor"] - self.reference_floor
        if self.held_out:
            found |= self._held_out(texts, risen)
        if self.twins:
            one, two = (scored("twin", twin, self.asked, texts) for twin in self.twins)
            apart = hacking.disagreement(one, two, *self.twin_scales)
            found["disagreement_ratio"] = apart / max(self.reference_apart, 1e-9)
        return found

    def _held_out(self, texts: Sequence[str], risen: Sequence[hacking.Rise]) -> dict[str, Any]:
        """What the held-out reward says, in standard deviations of the reference's answers."""
        scale, users = self.held_scale, [one.user_id for one in self.asked]
        values = self._held(self.asked, texts)
        worst = hacking.paid_phrase(risen, self.asked, texts, self._total, self._held, scale)
        return {
            "held_out": (mean(values) - scale.mean) / scale.std,
            "worst_decile_change": (hacking.worst_decile(users, values) - hacking.worst_decile(users, self.held_values)) / scale.std,
            "phrase": {**worst[0]._asdict(), "gain": worst[1]} if worst else None,
        }  # fmt: skip

    def _held(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[float]:
        assert self.held_out is not None
        return scored("held_out", self.held_out, asked, texts)

    def _total(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[float]:
        return self.goals.total(self.goals.rewards(asked, texts))


class Watch(TrainerCallback):
    """Looks, writes looks.jsonl, stops the run, and puts the last good weights back.

    `stopped` holds the alarms of the look that ended the run, `returned` the update whose weights remain. With
    `stop` false it only looks, and nobody is stopped.
    """

    def __init__(
        self, trainer: PolicyTrainer, policy: Policy, panel: Panel, folder: Path, every: int = 5,
        limits: Mapping[str, float] | None = None, stop: bool = True,
    ) -> None:  # fmt: skip
        self.trainer, self.policy, self.panel, self.folder, self.every = trainer, policy, panel, folder, every
        self.limits, self.stop = dict(limits or thresholds("policy/hacking")), stop
        self.start = (
            None if isinstance(trainer.model, PeftModel) else frozen(policy)
        )  # With adapters it is the model without them.
        self.looks: list[dict[str, Any]] = []
        self.stopped: list[hacking.Alarm] = []
        self.returned: int | None = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.looks = [
            look for look in read_whole_lines(self.folder / "looks.jsonl") if look["step"] <= state.global_step
        ]
        if not self.looks:
            self._look(0)
        if self.stop and any(look["stopped"] for look in self.looks):
            control.should_training_stop = True

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step % self.every:
            return
        look = self._look(state.global_step)
        if self.stop and look["stopped"]:
            control.should_training_stop = True

    def on_train_end(self, args, state, control, **kwargs) -> None:
        last = self.looks[-1]
        if self.stop and last["stopped"]:
            self.stopped = [hacking.Alarm(**alarm) for alarm in last["alarms"]]
            self.returned = best_before(self.looks)
            self._put_back(self.returned)

    def _look(self, step: int) -> dict[str, Any]:
        self.policy.model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        look = {"step": step, **self.panel.look(self.policy, self._before, self.limits["phrase_ratio"])}
        if "held_out" in look:
            past = [earlier["held_out"] for earlier in self.looks]
            rising = not self.looks or look["total"] >= self.looks[-1]["total"] - 0.1
            # Pairs of looks, so that one lucky look sets no record.
            best = max((mean(pair) for pair in pairwise(past)), default=look["held_out"])
            look["held_out_fall"] = best - look["held_out"] if rising else 0.0
        raised = hacking.raised(look, self.limits)
        recent = [
            {alarm["name"] for alarm in earlier["alarms"]} for earlier in self.looks[1 - int(self.limits["patience"]) :]
        ]
        enough = len(recent) >= self.limits["patience"] - 1
        look["alarms"] = [asdict(alarm) for alarm in raised]
        look["stopped"] = sorted({a.name for a in raised if enough and all(a.name in names for names in recent)})
        self.looks.append(look)
        log_line(self.folder, "looks.jsonl", look)
        self._keep(step)
        return look

    def _before(self, texts: Sequence[str]) -> list[float]:
        """How likely the reference finds the answers."""
        if self.start is not None:
            return self.start.logprobs(self.panel.asked, texts)
        with self.policy.model.disable_adapter():
            return self.policy.logprobs(self.panel.asked, texts)

    def _trained(self) -> dict[str, torch.Tensor]:
        return {name: p for name, p in self.policy.model.named_parameters() if p.requires_grad}

    def _keep(self, step: int) -> None:
        """The weights of every look that may still be the last good one."""
        if self.stop and distributed.is_main():
            folder = self.folder / "looks"
            folder.mkdir(exist_ok=True)
            save_file({n: p.detach().contiguous() for n, p in self._trained().items()}, folder / f"{step}.safetensors")
            for path in folder.glob("*.safetensors"):
                if int(path.stem) not in {step, best_before(self.looks), *_candidates(self.looks)}:
                    path.unlink()

    @torch.no_grad()
    def _put_back(self, step: int) -> None:
        if distributed.several():
            torch.distributed.barrier()  # The file is the first process's.
        kept = load_file(self.folder / "looks" / f"{step}.safetensors")
        for name, parameter in self._trained().items():
            parameter.copy_(kept[name])


def best_before(looks: Sequence[Mapping[str, Any]]) -> int:
    """The update to go back to: where the held-out reward stood highest, among the looks before the
    run of alarms that ends here; without a held-out reward the newest of them."""
    clean = list(looks)
    while len(clean) > 1 and clean[-1]["alarms"]:
        clean.pop()
    if "held_out" not in clean[-1]:
        return clean[-1]["step"]
    return max(clean, key=lambda look: look["held_out"])["step"]


def _candidates(looks: Sequence[Mapping[str, Any]]) -> set[int]:
    """Looks that later looks could still make the one to go back to."""
    return {best_before(looks[:end]) for end in range(1, len(looks) + 1)}
