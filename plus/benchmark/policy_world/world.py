"""Tiny world for comparing policies: a tiny base, users of known tastes, and rewards learned from their choices.

Everything is made from a seed and kept in a folder, so that every policy of a seed is trained on the same rewards.
`personal` reads the summary, `one_for_all` is Bradley-Terry without one; both learn from the same choices, which do
not show what a goodbye costs. `held_out` and `twin` learn from other users, `held_out` from choices that do show that
cost. P[Love] is a logistic regression on words, from a `sound` or a `confounded` log (`worlds/replies.py`).
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from plus.benchmark.policy_world.ab_test import Shown
from plus.models import tiny
from plus.models.reward_model import RewardModel
from plus.models.run import last_text
from plus.policy.model import Policy, UserPrompt
from plus.policy.rewards import Goal, Goals, RewardFunction
from plus.policy.rewards_file import with_summary
from plus.train.coadapt import CoAdaptation
from plus.train.loop import shuffled
from plus.train.reward_only import train_reward_model
from plus.types import Context, Preference, UserHistory
from plus.worlds import replies
from plus.worlds.replies import User

MAX_TOKENS = 16  # of a reply
BASE_STEPS, CHOICES, REACTIONS = 800, 3000, 3000
REWARD_STEPS, REWARD_BATCH, REWARD_RATE = 120, 32, 1e-3


def make_base(folder: Path, steps: int = BASE_STEPS) -> Path:
    """Train the tiny language model on conversations of this world, unless the folder holds it; returns the folder."""
    if not folder.exists():
        # The tokenizer and the base read conversations of the world only.
        rng = random.Random("tokenizer")
        texts = [message["content"] for _ in range(3000) for message in replies.conversation(rng)]
        tokenizer = tiny.train_tokenizer(texts, vocab_size=420)
        base = tiny.train_base(tokenizer, steps, conversation=replies.conversation, layers=2)
        _saved(folder, base, tokenizer)
    return folder


def _saved(folder: Path, *parts: Any) -> None:
    """Save the parts into a folder that appears when it is complete."""
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    for part in parts:
        part.save_pretrained(partial)
    os.replace(partial, folder)


class World:
    """World of one seed. `test` holds (user, prompt) of test users, on whom no reward was trained."""

    def __init__(self, folder: Path, base: Path, seed: int, test_users: int = 300, prompts_per_user: int = 2) -> None:
        self.folder, self.base, self.seed = folder / f"world-{seed}", base, seed
        # Drawn from one generator in this order, so a seed is always the same world.
        rng = random.Random(f"world-{seed}")
        self.people = replies.users(rng, 300, "train")
        self.others = replies.users(rng, 300, "other")
        self.prompts = self._prompts(rng, self.people, 600)
        self.evaluation_rows = self._rows(rng, replies.users(rng, 64, "panel"), 2)
        self.test = self._rows(rng, replies.users(rng, test_users, "test", adversarial=0.05), prompts_per_user)

    @property
    def evaluation_prompts(self) -> list[UserPrompt]:
        """Prompts of the monitor."""
        return [_user_prompt(user, prompt) for user, prompt in self.evaluation_rows]

    def policy(self) -> Policy:
        """Load the policy that every run starts from."""
        return Policy.from_pretrained(self.base, MAX_TOKENS)

    def answered(self, texts: Sequence[str]) -> list[Shown]:
        """Pair answers to the test prompts with their users."""
        return [Shown(user, prompt, text) for (user, prompt), text in zip(self.test, texts, strict=True)]

    def test_prompts(self) -> list[UserPrompt]:
        """List the prompts of the test users."""
        return [_user_prompt(user, prompt) for user, prompt in self.test]

    @cached_property
    def personal(self) -> RewardFunction:
        """Reward model that reads the summary, learned from the training users' choices."""
        return with_summary(self._reward_model("personal", self.people, summaries=True))

    @cached_property
    def one_for_all(self) -> RewardFunction:
        """Bradley-Terry without a summary, on the same choices with the same budget."""
        return ignores_summary(self._reward_model("one_for_all", self.people, summaries=False))

    @cached_property
    def twin(self) -> RewardFunction:
        """Reward model like `personal`, from another seed and other users."""
        return with_summary(self._reward_model("twin", self.others, summaries=True))

    @cached_property
    def held_out(self) -> RewardFunction:
        """Reward model that no policy is trained on, from choices of other users that show the cost of a goodbye."""
        return with_summary(self._reward_model("held_out", self.others, summaries=True, lasting=True))

    def love(self, log: str) -> Callable[[Sequence[str]], list[float]]:
        """Fit P[Love] on a "sound" or a "confounded" log; it gives log-odds of each reply."""
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        # Words and word pairs of the reply, and nothing of the user.
        rows = replies.log(random.Random(f"log-{self.seed}"), self.people, REACTIONS, log == "confounded")
        model = make_pipeline(CountVectorizer(ngram_range=(1, 2), binary=True), LogisticRegression(C=0.3))
        model.fit([row.completion for row in rows], [row.label for row in rows])

        def log_odds(texts: Sequence[str]) -> list[float]:
            found: list[float] = model.decision_function(list(texts)).tolist()
            return found

        return log_odds

    def goals(self, reward: str = "personal", love: float = 0.0, log: str = "sound") -> Goals:
        """Make the goals of a policy: the reward, P[Love], helpfulness, and safety as a floor."""
        likes = self.love(log)
        return Goals([
            Goal(reward, getattr(self, reward), 1.0),
            Goal("love", lambda completions, **columns: likes([last_text(c) for c in completions]), love),
            Goal("helpful", helpful, 1.0),
            Goal("safe", safe, floor=0.5),
        ])  # fmt: skip

    def _reward_model(self, name: str, people: Sequence[User], summaries: bool, lasting: bool = False) -> RewardModel:
        """Train a reward model on choices, unless the folder holds it."""
        folder = self.folder / name
        # `personal` and `one_for_all` learn from the same choices, the others from their own.
        key = "train" if people is self.people else name
        rows = replies.choices(random.Random(f"choices-{key}-{self.seed}"), people, CHOICES, lasting)
        if not folder.exists():
            start = int(1000 * self.seed + sum(map(ord, name)))
            model = fit_reward_model(self.base, rows, summaries, start)
            folder.parent.mkdir(parents=True, exist_ok=True)
            _saved(folder, model)
        return RewardModel.from_pretrained(folder, 128)

    @staticmethod
    def _rows(rng: random.Random, people: Sequence[User], each: int) -> list[tuple[User, str]]:
        return [(user, replies.question(rng)) for user in people for _ in range(each)]

    @staticmethod
    def _prompts(rng: random.Random, people: Sequence[User], count: int) -> list[UserPrompt]:
        return [_user_prompt(rng.choice(people), replies.question(rng)) for _ in range(count)]


def fit_reward_model(
    start: Path | RewardModel, rows: Sequence[tuple[User, Preference]], summaries: bool, seed: int,
    steps: int = REWARD_STEPS,
) -> RewardModel:  # fmt: skip
    """Train a reward model by Bradley-Terry steps on choices, from the base or from another reward model."""
    torch.manual_seed(seed)
    model = start if isinstance(start, RewardModel) else RewardModel.from_pretrained(start, 128)
    optimizer = torch.optim.AdamW(model.model.parameters(), lr=REWARD_RATE)
    # Each choice is a context of its own, so that a batch mixes users.
    learner = CoAdaptation(model, optimizer, pairs_per_user=1, summary_dropout=0.05 if summaries else 0.0, seed=seed)
    texts = {f"{user.user_id}/{n}": user.summary if summaries else "" for n, (user, _) in enumerate(rows)}
    contexts = [Context(UserHistory(name), (pair,)) for name, (_, pair) in zip(texts, rows, strict=True)]
    train_reward_model(learner, texts, shuffled(contexts, REWARD_BATCH, seed), steps)
    return model


def ignores_summary(model: RewardModel) -> RewardFunction:
    """Make a TRL reward function that gives the reward model no summary."""

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        return model.rewards([("", last_text(p), last_text(c)) for p, c in zip(prompts, completions, strict=True)])

    return reward


def helpful(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
    """Score 1 for an answer about the question, by a rule."""
    return [float(replies.helpful(last_text(p), last_text(c))) for p, c in zip(prompts, completions, strict=True)]


def safe(completions: Sequence[Any], **columns: Any) -> list[float]:
    """Score 1 for a safe answer, by a rule."""
    return [float(replies.safe(last_text(c))) for c in completions]


def _user_prompt(user: User, prompt: str) -> UserPrompt:
    return UserPrompt(prompt, user.summary, user.user_id)
