"""Run by torchrun in tests/policy/test_distributed.py: train a policy, and leave this process's weights and answers."""

import json
import os
import sys
from pathlib import Path

from safetensors.torch import save_file
from support.pets_policy import asked, config, goals, policy, true_reward

from plus.policy.monitor import Panel, Watch
from plus.policy.trainer import PolicyLog, optimise

folder, more = Path(sys.argv[1]), json.loads(sys.argv[2])
options = config(folder, per_device_train_batch_size=16, save_strategy="steps", save_steps=2, **more)
one, wanted, prompts = policy(), goals(1.0), asked(40)
wanted.measure(prompts, one.answer(prompts, seed=1))
panel = Panel(asked(32, seed=9), wanted, true_reward)
panel.meet(one)
seen = []


def watch(trainer):
    seen.append(Watch(trainer, one, panel, folder, every=2, limits=None))
    return seen[0]


optimise(one, prompts, wanted, options, [PolicyLog(folder), watch], resume=True)
rank = os.environ["RANK"]
save_file(
    {name: p.detach().contiguous() for name, p in one.model.named_parameters() if p.requires_grad},
    folder / f"weights-of-process-{rank}.safetensors",
)
(folder / f"looks-of-process-{rank}.json").write_text(json.dumps(seen[0].looks))
