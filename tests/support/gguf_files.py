"""A tiny Llama as llama.cpp keeps it: a GGUF file, quantized, beside the very weights that it stands for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quants
from support.tiny_models import byte_bpe
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADS, LAYERS = 2, 2
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def tiny_llama() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Random weights, its widths multiples of a quantization block's 32."""
    torch.manual_seed(0)
    tokenizer = byte_bpe(340, eos_token="<|im_end|>", bos_token="<|im_start|>", unk_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=1024, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, initializer_range=0.2,
    )  # fmt: skip
    return LlamaForCausalLM(config), tokenizer


def write(
    path: Path, kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0, architecture: str = "llama"
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Write a GGUF file; returns the model with the weights that the file's numbers stand for, and the tokenizer."""
    model, tokenizer = tiny_llama()
    config = model.config
    writer = GGUFWriter(str(path), architecture)
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_vocab_size(len(tokenizer))
    _add_tokenizer(writer, tokenizer)
    for name, weight in list(model.named_parameters()):
        _add_weight(writer, name, weight.data, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model.eval(), tokenizer


def _add_tokenizer(writer: GGUFWriter, tokenizer: PreTrainedTokenizerFast) -> None:
    written = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    special = set(tokenizer.all_special_tokens)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in written["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_unk_token_id(tokenizer.unk_token_id)
    writer.add_chat_template(TEMPLATE)


def _add_weight(writer: GGUFWriter, name: str, weight: torch.Tensor, kind: GGMLQuantizationType) -> None:
    """Add one weight; the model's own becomes what the quantized numbers stand for."""
    *_, part, what = name.removeprefix("model.").split(".")
    if name == "model.embed_tokens.weight":
        short = "token_embd.weight"
    elif name == "model.norm.weight":
        short = "output_norm.weight"
    else:
        _, layer, *parts, _ = name.removeprefix("model.").split(".")
        short = f"blk.{layer}.{NAMES['.'.join(parts)]}.{what}"
    values = weight.numpy()
    if values.ndim == 1:
        writer.add_tensor(short, values)
        return
    values = quants.dequantize(quants.quantize(values, kind), kind)
    weight.copy_(torch.from_numpy(values))
    # llama.cpp keeps each head's halves of a rotation side by side.
    if part in ("q_proj", "k_proj"):
        halves = values.reshape(HEADS, 2, values.shape[0] // HEADS // 2, values.shape[1])
        values = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
    writer.add_tensor(short, quants.quantize(values, kind), raw_dtype=kind)
