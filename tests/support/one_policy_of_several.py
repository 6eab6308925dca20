"""Run by torchrun in tests/policy/test_distributed.py: train a policy, and leave this process's weights and answers."""

import json
import os
import sys
from pathlib import Path

from safetensors.torch import save_file
from support.pets_policy import asked, config, goals, policy, true_reward

from plus.policy.monitor import EvaluationSet, Monitor
from plus.policy.trainer import PolicyLog, optimise

folder, more = Path(sys.argv[1]), json.loads(sys.argv[2])
options = config(folder, per_device_train_batch_size=16, save_strategy="steps", save_steps=2, **more)
one, wanted, prompts = policy(), goals(1.0), asked(40)
wanted.measure(prompts, one.answer(prompts, seed=1))
evaluation_set = EvaluationSet(asked(32, seed=9), wanted, true_reward)
evaluation_set.measure_reference(one)
monitors = []


def monitor(trainer):
    monitors.append(Monitor(trainer, one, evaluation_set, folder, every=2))
    return monitors[0]


optimise(one, prompts, wanted, options, [PolicyLog(folder), monitor], resume=True)
rank = os.environ["RANK"]
save_file(
    {name: p.detach().contiguous() for name, p in one.model.named_parameters() if p.requires_grad},
    folder / f"weights-of-process-{rank}.safetensors",
)
(folder / f"looks-of-process-{rank}.json").write_text(json.dumps([one.to_json() for one in monitors[0].evaluations]))
