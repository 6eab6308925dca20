"""Untrained: summaries of the language model as it came, read by a trained reward model.

Models: P(chosen > rejected | z), z sampled once from the frozen model.
Loss: -mean log sigmoid(margin), the reward model's alone.
Reference: "PLUS-untrained" in arXiv 2507.13579.
Relation to PLUS: the same pair before the summarizer has learned anything. Its texts are sampled
at temperature 1, as PLUS starts from samples; the most likely text alone would predict less.
*Best of several prompts* is what prompt engineering can do instead of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from plus.baselines.methods import Given, Language, TextRow, Write, WriterRow
from plus.measures import mean
from plus.models.extractive import ExtractiveSummarizer
from plus.models.language_model import LanguageModelSummarizer
from plus.prompts import INSTRUCTION
from plus.train.select import once
from plus.types import Population, Scorer

PROMPTS = (
    INSTRUCTION,
    "What does this user like best?",
    "What do the answers that this user chose have in common?",
    "Describe this user's taste in one sentence.",
)
TRIED = 256  # training users by whom a prompt is chosen


def summaries(
    population: Population,
    summarizer: LanguageModelSummarizer,
    seed: int = 0,
    instruction: str = "",
    users: Sequence[str] | None = None,
) -> dict[str, str]:
    """Sample one summary a user from the frozen model, for all users or for some."""
    sampling = LanguageModelSummarizer(
        summarizer.model, summarizer.tokenizer, summarizer.max_prompt_length, summarizer.max_completion_length,
        temperature=1.0, instruction=instruction or summarizer.instruction, seed=seed,
    )  # fmt: skip
    chosen = population.histories if users is None else users
    histories = [population.histories[user] for user in chosen]
    return dict(zip(chosen, sampling.summarize(histories), strict=True))


def rank_prompts(
    prompts: Sequence[str],
    population: Population,
    summarizer: LanguageModelSummarizer,
    scorer: Scorer,
    seed: int = 0,
) -> Mapping[str, float]:
    """Rank prompts by the mean log-likelihood of training users' choices given their summaries, best first.

    `scorer` is a reward model trained on the untrained summaries; no test user is looked at.
    """
    users = population.users("train")[:TRIED]
    targets = [example for example in population.split("train") if example.history.user_id in set(users)]
    found = {}
    for prompt in prompts:
        texts = summaries(population, summarizer, seed, prompt, users)
        values = scorer.log_likelihood([texts[e.history.user_id] for e in targets], [e.target for e in targets])
        found[prompt] = mean(values)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def sampled(given: Language) -> dict[str, str]:
    """Sample a summary of every user from the base as it came."""
    return summaries(given.population, given.base(), given.seed)


def best_of_prompts(given: Language) -> dict[str, str]:
    """Sample summaries with the prompt that predicts training users' choices best."""
    base = given.base()
    first = given.reward_model("untrained", sampled(given))
    ranked = rank_prompts((*PROMPTS, given.question), given.population, base, first, given.seed)
    given.say("; ".join(f"{prompt!r} {value:.3f}" for prompt, value in ranked.items()))
    return summaries(given.population, base, given.seed, next(iter(ranked)))


def extractive(given: Given, k: int) -> Write:
    """Select k events with the extractive summarizer as it starts, before any training."""
    return partial(once, ExtractiveSummarizer(given.embeddings, k).summarize)


EMBEDDING_METHODS = {"untrained": WriterRow(43, extractive, of_k=True)}
LANGUAGE_MODEL_METHODS = {
    "untrained": TextRow(32, sampled),
    "untrained_best_of_5": TextRow(33, best_of_prompts),
}
