"""Untrained: summaries of the language model as it came, read by a trained reward model.

Models: P(chosen > rejected | z), z sampled once from the frozen model.
Loss: -mean log sigmoid(margin), the reward model's alone.
Reference: "PLUS-untrained" in arXiv 2507.13579.
Relation to PLUS: the same pair before the summarizer has learned anything. Its texts are sampled
at temperature 1, as PLUS starts from samples; the most likely text alone would predict less.
"""

from __future__ import annotations

from plus.models.language_model import LanguageModelSummarizer
from plus.sources.population import Population


def summaries(population: Population, summarizer: LanguageModelSummarizer, seed: int = 0) -> dict[str, str]:
    """user_id -> one sampled summary of the frozen model."""
    sampling = LanguageModelSummarizer(
        summarizer.model, summarizer.tokenizer, summarizer.max_prompt_length, summarizer.max_completion_length,
        temperature=1.0, instruction=summarizer.instruction, seed=seed,
    )  # fmt: skip
    return dict(zip(population.histories, sampling.summarize(list(population.histories.values())), strict=True))
