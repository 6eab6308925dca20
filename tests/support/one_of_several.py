"""Run by torchrun in tests/train/test_distributed.py: train with the given options, and save this process's weights."""

import json
import os
import sys
from pathlib import Path

from safetensors.torch import save_file

from plus.resources import shipped
from plus.sources import polis
from plus.train import run as training
from plus.train import settings as options

settings = options.resolve(json.loads(sys.argv[1]))
trained = training.train(settings, polis.load(shipped("polis_sample")), lambda line: None)
rank = os.environ["RANK"]
assert trained.main == (rank == "0")
folder = Path(settings["output_dir"])
for name, model in (("summarizer", trained.summarizer.model), ("reward_model", trained.reward_model.model)):
    weights = {key: tensor.detach().clone().contiguous() for key, tensor in model.state_dict().items()}
    save_file(weights, folder / f"{name}-of-process-{rank}.safetensors")
