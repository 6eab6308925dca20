"""Random models of every family that users bring, a few thousand parameters each, saved as users have them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)  # fmt: skip

from plus.resources import shipped
from plus.sources import polis
from plus.types import Preference, Reaction

DECODERS = ("llama", "qwen2", "qwen3", "gpt2")
ENCODERS = ("bert", "modernbert")
SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def texts() -> list[str]:
    """Statements and prompts of real people."""
    found: set[str] = set()
    for history in polis.load(shipped("polis_sample")).histories.values():
        for event in history.events:
            match event.content:
                case Preference(prompt, chosen, rejected):
                    found |= {prompt, chosen, rejected}
                case Reaction(prompt, completion, _):
                    found |= {prompt, completion}
    return sorted(found)


def byte_bpe(vocab_size: int, **special: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer as GPT-2's and Qwen's, with the special tokens named."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(dict.fromkeys(special.values())), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def word_piece(vocab_size: int = 300) -> PreTrainedTokenizerFast:
    """BERT's kind: lower case, no chat template, [CLS] text [SEP]."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        texts(),
        trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=list(special.values()), show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(word, tokenizer.token_to_id(word)) for word in ("[CLS]", "[SEP]")]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special)


def build(family: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A random model of a family with a tokenizer of its own: GPT-2's has neither chat template nor
    pad token, BERT's has 512 positions."""
    torch.manual_seed(0)
    match family:
        case "gpt2":
            tokenizer = byte_bpe(330, eos_token="<|endoftext|>")
            model = GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=len(tokenizer),
                    n_embd=16,
                    n_layer=2,
                    n_head=2,
                    n_positions=1024,
                    bos_token_id=0,
                    eos_token_id=0,
                )
            )
        case "bert":
            tokenizer = word_piece()
            model = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=512, **SIZE))
        case "modernbert":
            tokenizer = byte_bpe(310, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")
            ids = {"pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
            model = ModernBertModel(
                ModernBertConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, **ids, **SIZE)
            )
        case _:
            tokenizer = byte_bpe(
                350 + len(family), pad_token="<|pad|>", eos_token="<|im_end|>", bos_token="<|im_start|>"
            )
            tokenizer.chat_template = (
                "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
                "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
            )
            make, config = {
                "llama": (LlamaForCausalLM, LlamaConfig), "qwen2": (Qwen2ForCausalLM, Qwen2Config),
                "qwen3": (Qwen3ForCausalLM, Qwen3Config),
            }[family]  # fmt: skip
            model = make(
                config(
                    vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=8, max_position_embeddings=1024, **SIZE,
                    pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
                    bos_token_id=tokenizer.bos_token_id,
                )
            )  # fmt: skip
    return model, tokenizer


def saved(folder: Path, family: str) -> Path:
    """The model as `save_pretrained` leaves it, in `folder`/`family`; made once."""
    path = folder / family
    if not path.exists():
        model, tokenizer = build(family)
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    return path
