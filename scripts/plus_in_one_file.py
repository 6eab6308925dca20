"""PLUS in one file: a summarizer and the reward model that rewards it, trained together, with nothing hidden.

    python scripts/plus_in_one_file.py --steps 25

Each user likes one of eight animals best. The tiny language model that comes with plus writes about *topics* at first;
after some twenty updates its summaries name the favourite, and the reward model has learned to read them. Only the
nouns and the prompts come from plus. `plus/train/loop.py` is the same method for any summarizer and any reward model,
and a test holds one step of both to equality.

Shapes: P users, G summaries a user, N = P*G, K pairs a user, T tokens of a summary, L of prompt and summary.
"""

from __future__ import annotations

import argparse
import copy
import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from plus.prompts import scorer_messages, summarizer_messages
from plus.types import Event, Message, Preference, UserHistory

BASE = Path(__file__).parents[1] / "data" / "tiny_base"
ANIMALS = ("cats", "dogs", "birds", "rabbits", "fish", "horses", "turtles", "hamsters")
TOPICS = ("sports", "food", "music", "travel", "work", "school", "weather", "books")
ANSWERS = ("I saw some {} on the way here.", "Let me start with {}.", "Here is a story with {}.", "My friends have {}.")


class User(NamedTuple):
    history: UserHistory  # what the summarizer reads
    pairs: list[Preference]  # K later choices of the same user, which test a summary of it


class Sample(NamedTuple):
    """N sampled summaries as texts and as tokens; `mask_NT` is 1 up to and including the end token."""

    texts: list[str]
    ids_NL: torch.Tensor
    attention_NL: torch.Tensor
    mask_NT: torch.Tensor


def user(rng: random.Random) -> User:
    favourite = rng.choice(ANIMALS)
    others = rng.sample([animal for animal in ANIMALS if animal != favourite], 5)
    pairs = []
    for other in others:
        liked, passed_over = rng.sample(ANSWERS, 2)
        topic = f"Tell me about {rng.choice(TOPICS)}."
        pairs.append(Preference(topic, liked.format(favourite), passed_over.format(other)))
    events = [Event(str(number), "choice", pair) for number, pair in enumerate(pairs[:3])]
    return User(UserHistory("user", tuple(events)), pairs[3:])


def tokens(tokenizer: Any, conversations: list[list[Message]], side: str, generate: bool = False) -> Any:
    texts = tokenizer.apply_chat_template(conversations, add_generation_prompt=generate, tokenize=False)
    return tokenizer(texts, add_special_tokens=False, padding=True, padding_side=side, return_tensors="pt")


@torch.no_grad()
def sample(summarizer: Any, tokenizer: Any, users: list[User], num_generations: int, **options: Any) -> Sample:
    """The summarizer writes G summaries of each history."""
    histories = [u.history for u in users for _ in range(num_generations)]  # N
    prompts = tokens(tokenizer, [summarizer_messages(history) for history in histories], "left", generate=True)
    ids_NL = summarizer.generate(**prompts, **{"do_sample": True, "top_k": 0, "max_new_tokens": 24, **options})
    completion_NT = ids_NL[:, prompts["input_ids"].shape[1] :]
    ended_NT = (completion_NT == tokenizer.eos_token_id).long()
    mask_NT = (ended_NT.cumsum(1) - ended_NT == 0).long()
    texts = [text.strip() for text in tokenizer.batch_decode(completion_NT, skip_special_tokens=True)]
    return Sample(texts, ids_NL, torch.cat([prompts["attention_mask"], mask_NT], dim=1), mask_NT)


def logprobs(model: Any, sampled: Sample) -> torch.Tensor:
    """log pi(token | everything before it) of every summary token: (N, T)."""
    length = sampled.mask_NT.shape[1]
    positions_NL = (sampled.attention_NL.cumsum(1) - 1).clamp(min=0)  # prompts are padded on the left
    inputs = {"input_ids": sampled.ids_NL, "attention_mask": sampled.attention_NL, "position_ids": positions_NL}
    logits_NTV = model(**inputs, logits_to_keep=length + 1).logits[:, :-1]
    return logits_NTV.log_softmax(-1).gather(-1, sampled.ids_NL[:, -length:].unsqueeze(-1)).squeeze(-1)


def log_likelihood(reward_model: Any, tokenizer: Any, texts: list[str], pairs: list[list[Preference]]) -> torch.Tensor:
    """log sigmoid( r(chosen | summary) - r(rejected | summary) ) of each summary's K pairs: (N, K)."""
    asked = [(text, pair) for text, of_text in zip(texts, pairs, strict=True) for pair in of_text]  # N*K
    chosen = [scorer_messages(text, pair.prompt, pair.chosen) for text, pair in asked]
    rejected = [scorer_messages(text, pair.prompt, pair.rejected) for text, pair in asked]
    rewards = reward_model(**tokens(tokenizer, chosen + rejected, "right")).logits[:, 0]  # (2*N*K,)
    return logsigmoid(rewards[: len(asked)] - rewards[len(asked) :]).view(len(texts), -1)


def losses(
    summarizer: Any, reference: Any, reward_model: Any, tokenizer: Any, users: list[User], sampled: Sample, beta: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The summarizer's loss, the reward model's loss, and the rewards (N,): one scoring pass, used twice."""
    num_generations = len(sampled.texts) // len(users)
    pairs = [u.pairs for u in users for _ in range(num_generations)]  # N lists of K
    log_likelihood_NK = log_likelihood(reward_model, tokenizer, sampled.texts, pairs)
    # The reward model: a Bradley-Terry step on what it predicted.
    reward_model_loss = -log_likelihood_NK.mean()
    # The summarizer: summaries that predicted better than the others of their user become likelier.
    rewards_N = log_likelihood_NK.detach().mean(1).float()
    groups_PG = rewards_N.view(-1, num_generations)
    variance = (rewards_N - rewards_N.mean()).square().mean() * (len(rewards_N) / (len(rewards_N) - 1))
    advantages_N = (groups_PG - groups_PG.mean(dim=1, keepdim=True)).flatten() / (variance.sqrt() + 1e-4)
    logprobs_NT = logprobs(summarizer, sampled)
    with torch.no_grad():
        reference_NT = logprobs(reference, sampled)
    ratio_NT = torch.exp(logprobs_NT - logprobs_NT.detach())  # 1, with the gradient of the log-probability
    difference_NT = reference_NT - logprobs_NT
    kl_NT = torch.exp(difference_NT) - difference_NT - 1  # to the reference
    loss_NT = -advantages_N.unsqueeze(1) * ratio_NT + beta * kl_NT
    return (loss_NT * sampled.mask_NT).sum() / sampled.mask_NT.sum(), reward_model_loss, rewards_N


def main() -> None:
    parser = argparse.ArgumentParser(description="PLUS in one file, on the tiny base that comes with plus.")
    for name, default in (("steps", 25), ("users", 32), ("num_generations", 4), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, rate in (("learning_rate", 3e-4), ("reward_learning_rate", 1e-3), ("beta", 0.02)):
        parser.add_argument(f"--{name}", type=float, default=rate)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    summarizer = AutoModelForCausalLM.from_pretrained(BASE, dtype="float32")
    reference = copy.deepcopy(summarizer).eval().requires_grad_(False)
    reward_model = AutoModelForSequenceClassification.from_pretrained(BASE, dtype="float32", num_labels=1)
    reward_model.config.pad_token_id = tokenizer.pad_token_id
    moving = torch.optim.AdamW(summarizer.parameters(), lr=args.learning_rate, weight_decay=0.0)
    reading = torch.optim.AdamW(reward_model.parameters(), lr=args.reward_learning_rate, weight_decay=0.0)
    for number in range(1, args.steps + 1):
        users = [user(rng) for _ in range(args.users)]
        sampled = sample(summarizer, tokenizer, users, args.num_generations)
        models = summarizer, reference, reward_model
        loss, reward_model_loss, rewards_N = losses(*models, tokenizer, users, sampled, args.beta)
        for optimizer, its_loss in ((reading, reward_model_loss), (moving, loss)):
            optimizer.zero_grad()
            its_loss.backward()
            optimizer.step()
        print(f"{number:3}  reward {rewards_N.mean():+.3f}  {sampled.texts[0]}")


if __name__ == "__main__":
    main()
