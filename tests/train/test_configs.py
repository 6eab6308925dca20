"""The configurations under scripts/configs, read by those who will read them."""

from __future__ import annotations

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DeepSpeedPlugin, FullyShardedDataParallelPlugin
from support.running import ROOT

from plus.train import settings as options

CONFIGS = ROOT / "scripts" / "configs"


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero2", "zero3"])
def test_accelerate_reads_its_configurations(name):
    config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    expected = {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}[name]
    assert config.distributed_type == expected and config.num_processes == 8


def test_fsdp2_gathers_a_full_state_to_save():
    config = load_config_from_file(str(CONFIGS / "fsdp2.yaml")).fsdp_config
    plain = {key.removeprefix("fsdp_"): value for key, value in config.items() if key != "fsdp_version"}
    plugin = FullyShardedDataParallelPlugin(fsdp_version=config["fsdp_version"], **plain)
    assert plugin.fsdp_version == 2 and plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert plugin.reshard_after_forward is True


def test_zero3_keeps_a_whole_model_to_save():
    config = load_config_from_file(str(CONFIGS / "zero3.yaml")).deepspeed_config
    assert config["zero_stage"] == 3 and config["zero3_save_16bit_model"] is True
    assert DeepSpeedPlugin.__dataclass_fields__.keys() >= {"zero_stage", "zero3_save_16bit_model"}


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_plus_train_reads_the_vllm_options(tmp_path, mode):
    flags = {"preset": "tiny", "dataset_name": "pets", "output_dir": str(tmp_path / "run")}
    config = options.trainer_config(options.resolve(flags, CONFIGS / f"vllm_{mode}.yaml"))
    assert config.use_vllm and config.vllm_mode == mode
