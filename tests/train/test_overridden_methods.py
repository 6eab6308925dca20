"""Private methods of TRL and transformers that plus overrides: one row each, which fails when a signature moves."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from transformers.cache_utils import DynamicLayer
from trl import GRPOTrainer

import plus
from plus.models.shared_prefix.decode import RoomyLayer
from plus.train.grpo import ReadOnceTrainer
from plus.train.trainer import PLUSTrainer

# (our class, theirs, method) -> the parameters in TRL 1.16 and transformers 5.23.
OVERRIDDEN = {
    (ReadOnceTrainer, GRPOTrainer, "_generate_single_turn"): (
        *("prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images"),
    ),
    (ReadOnceTrainer, GRPOTrainer, "_prepare_inputs"): ("generation_batch",),
    (ReadOnceTrainer, GRPOTrainer, "_get_per_token_logps_and_entropies"): (
        *("model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy"),
        *("compute_aux_loss", "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask"),
        *("spatial_shapes", "num_tiles", "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids"),
    ),
    (PLUSTrainer, GRPOTrainer, "_save_checkpoint"): ("model", "trial"),
    (PLUSTrainer, GRPOTrainer, "_load_optimizer_and_scheduler"): ("checkpoint",),
    (RoomyLayer, DynamicLayer, "update"): ("key_states", "value_states", "args", "kwargs"),
}


@pytest.mark.parametrize(("ours", "theirs", "method"), OVERRIDDEN, ids=lambda value: getattr(value, "__name__", value))
def test_the_signature_is_the_one_that_the_override_was_written_for(ours, theirs, method):
    assert method in vars(ours), "no override any more: take the row out"
    found = tuple(inspect.signature(getattr(theirs, method)).parameters)[1:]
    assert found == OVERRIDDEN[ours, theirs, method], (
        f"{theirs.__name__}.{method} has moved: read it, then its override"
    )


def test_no_other_private_method_of_the_trainer_is_overridden():
    """Every class below a TRL trainer, in whatever room, is read."""
    listed = {method for _, theirs, method in OVERRIDDEN if theirs is GRPOTrainer}
    for path in Path(plus.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            if any(base.endswith("Trainer") for base in bases):
                defined = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                private = {name for name in defined if name.startswith("_") and not name.startswith("__")}
                overridden = {name for name in private if hasattr(GRPOTrainer, name)}
                assert overridden <= listed, f"{path.name}: {overridden - listed} is not in OVERRIDDEN"
