"""What a run will hold in memory and read per update, said before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from plus.train.trainer import PLUSConfig


def estimate(
    summarizer: PreTrainedModel, reward_model: PreTrainedModel, args: PLUSConfig, prompt_tokens: Sequence[int]
) -> list[str]:
    """Lines for people: parameters, copies in memory, tokens an update.

    A trained parameter takes its weight, its gradient and Adam's two moments; a frozen one its
    weight alone. Activations come on top and depend on --per_device_train_batch_size.
    """
    total, trained = _count(summarizer)
    reward_total, reward_trained = _count(reward_model)
    reference = total if args.beta and total == trained else 0
    floats = total + 3 * trained + reference + reward_total + 3 * reward_trained
    summaries = args.generation_batch_size
    contexts = summaries // args.num_generations
    context = sum(prompt_tokens) / max(1, len(prompt_tokens))
    pairs = contexts * args.pairs_per_user * (2 if args.separate_pairs else 1)
    return [
        f"parameters   summarizer {total:,} ({trained:,} trained), reward model {reward_total:,} ({reward_trained:,} trained)",
        f"in memory    summarizer with gradient and Adam{', frozen reference' if reference else ''}, reward model with gradient and Adam: "
        f"{floats * 4 / 2**20:,.1f} MiB in float32, activations extra",
        f"an update    {contexts} users x {args.num_generations} summaries, {pairs} distinct pairs; "
        f"{summaries * context:,.0f} context tokens, up to {summaries * args.max_completion_length:,} summary tokens",
    ]


def _count(model: PreTrainedModel) -> tuple[int, int]:
    return sum(p.numel() for p in model.parameters()), sum(p.numel() for p in model.parameters() if p.requires_grad)
