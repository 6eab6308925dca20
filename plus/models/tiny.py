"""Tiny language model that trains on a CPU in minutes and plays the pretrained LLM.

It knows three things before `plus` starts, as a large model would: how to read a history, how to
write about it (by default mostly what was *talked about*), and how conversations go on: answers to
a user whose taste is stated tend to suit it, and where they do not, a complaint follows. So the
end of an answer holds whether it suits, which is where a reward model reads (notebooks/LOG.md).
It has never seen a reward, and left alone its summaries predict next to nothing.

The recipe is supervised and made from the templates of `worlds/pets.py`; the histories and pairs
that `plus` later trains and tests on are drawn anew from other seeds. `pets_ood` and `styles` bring
conversations of their own, which `train_base` takes instead.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from plus.models.text import templated, tight
from plus.prompts import summarizer_messages
from plus.types import Message, Preference, UserHistory
from plus.worlds import pets

SPECIAL = ["<|pad|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
CHAT_TEMPLATE = (
    "<|bos|>{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
Conversation = Callable[[random.Random], list[Message]]


def train_tokenizer(texts: Sequence[str], vocab_size: int = 1024) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with a chat template: every string can be written in it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", bos_token="<|bos|>", eos_token="<|end|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"], padding_side="left",
    )  # fmt: skip
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_config(tokenizer: PreTrainedTokenizerFast, hidden_size: int = 64, layers: int = 3) -> LlamaConfig:
    """Configure Llama's shape at 1/100,000 of its size."""
    options: dict[str, Any] = {"rope_theta": 1000.0}  # transformers still takes it, but no longer declares it
    return LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden_size, intermediate_size=2 * hidden_size,
        num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=4096,
        **options, tie_word_embeddings=True, initializer_range=0.08, use_cache=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def batches(
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    batch_size: int,
    conversation: Conversation = pets.conversation,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield endless (ids_BL, weights_BL, padding_BL): full weight on the answer, a twentieth on the rest."""
    while True:
        rows = [conversation(rng) for _ in range(batch_size)]
        # Each conversation as a whole, and the length of what comes before its last turn.
        prompts = templated(tokenizer, [row[:-1] for row in rows], generate=True)
        fulls = templated(tokenizer, rows)
        fulls = [
            text + ("" if row[-1]["role"] == "user" else str(tokenizer.bos_token))
            for text, row in zip(fulls, rows, strict=True)
        ]
        starts = [len(ids) for ids in tokenizer(prompts, add_special_tokens=False)["input_ids"]]
        # Token ids, and their weights from the last turn's header on.
        batch = tokenizer(fulls, add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt")
        ids_BL, mask_BL = batch["input_ids"], batch["attention_mask"]  # (B, L)
        weights_BL = torch.full(ids_BL.shape, 0.05)  # (B, L)
        for row, start in enumerate(starts):
            weights_BL[row, start - 1 :] = 1.0  # From the header on: whether a complaint follows is worth knowing.
        yield ids_BL, weights_BL * mask_BL, mask_BL


def train_base(
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    seed: int = 0,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    conversation: Conversation = pets.conversation,
    layers: int = 3,
) -> PreTrainedModel:
    """Train next-token prediction on `conversation` rows: AdamW, 50 steps of warm-up, linear decay."""
    # Model, optimizer and schedule.
    torch.manual_seed(seed)
    model = LlamaForCausalLM(tiny_config(tokenizer, layers=layers))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1, (s + 1) / 50, max(0.02, (steps - s) / (0.4 * steps)))
    )
    # Steps.
    rows = batches(tokenizer, random.Random(f"base-{seed}"), batch_size, conversation)
    for step in range(steps):
        optimizer.zero_grad()
        loss = backward(model, *next(rows))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        on_step(step, loss)
    model.eval()
    return model


def backward(model: PreTrainedModel, ids_BL: torch.Tensor, weights_BL: torch.Tensor, mask_BL: torch.Tensor) -> float:
    """Compute the weighted mean loss of next tokens and add its gradients. Rows of similar length share a pass,
    and padding is neither read nor predicted, which halves the time."""
    lengths, total = mask_BL.sum(1).tolist(), weights_BL[:, 1:].sum()
    value = 0.0
    for rows in tight(lengths):
        length = max(lengths[row] for row in rows)
        ids_RL, weights_RL = ids_BL[rows, :length], weights_BL[rows, :length]
        # Padding stands on the right, where no earlier token sees it: a mask would change nothing.
        states_RLD = model.base_model(input_ids=ids_RL).last_hidden_state
        real_RL = mask_BL[rows, 1:length].bool()
        logits_FV = model.lm_head(states_RLD[:, :-1][real_RL])  # F real tokens
        loss_F = cross_entropy(logits_FV, ids_RL[:, 1:][real_RL], reduction="none")
        loss = (loss_F * weights_RL[:, 1:][real_RL]).sum() / total
        loss.backward()
        value += loss.item()
    return value


def what_it_says(
    model: Any, tokenizer: PreTrainedTokenizerFast, users: int = 512, seed: int = 1, sample: bool = True
) -> dict[str, float]:
    """Measure the shares of new users' summaries that name the favourite, a topic, an animal passed over, a wrong
    trait, or nothing that can be parsed. The LOG's table of bases is made of these."""
    rng = random.Random(f"says-{seed}")
    torch.manual_seed(seed)
    counts = dict.fromkeys(("favourite", "topic", "topic_wrong", "passed_over", "wrong", "malformed"), 0)
    for _ in range(users // 64):
        histories = [pets.user(rng, "u", rng.choice(pets.ANIMALS)) for _ in range(64)]
        prompts = templated(tokenizer, [summarizer_messages(h) for h in histories], generate=True)
        batch = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
        ids = model.generate(**batch, max_new_tokens=16, do_sample=sample, top_k=0, top_p=1.0)
        texts = tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        for history, text in zip(histories, texts, strict=True):
            counts[_kind(history, text)] += 1
    return {kind: count / (64 * (users // 64)) for kind, count in counts.items()}


def _kind(history: UserHistory, text: str) -> str:
    said, true = pets.claims(text), pets.traits(history)
    if said:
        if not said <= true:
            return "wrong"
        return "favourite" if any(name == "likes" for name, _ in said) else "passed_over"
    topics = [topic for topic in pets.TOPICS if text == pets.TOPIC_SUMMARY.format(topic=topic)]
    if not topics:
        return "malformed"
    asked = [event.content.prompt for event in history.events if isinstance(event.content, Preference)]
    return "topic" if any(topics[0] in prompt for prompt in asked) else "topic_wrong"
