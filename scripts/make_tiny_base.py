"""Make the tiny language model in data/tiny_base: python scripts/make_tiny_base.py OUT [--steps N] [--seed S] [--source pets_ood]

About six minutes on one CPU core at the default length. Prints what the base says of new users,
sampled and greedy, before `plus` has taught it anything.
"""

import argparse
import random
from pathlib import Path

import torch
from rich.progress import Progress

from plus.models import tiny
from plus.shipped import shipped
from plus.sources import llmfao, pets_ood, polis, styles
from plus.types import Preference, Reaction

CONVERSATIONS = {"pets": tiny.conversation, "pets_ood": pets_ood.conversation, "styles": styles.conversation}


def corpus(rows: int, conversation: tiny.Conversation) -> list[str]:
    """Texts for the tokenizer: the base's own conversations, and the shipped samples of real people."""
    rng = random.Random("tokenizer")
    texts = [message["content"] for _ in range(rows) for message in conversation(rng)]
    for population in (polis.load(shipped("polis_sample")), llmfao.load(shipped("llmfao_sample"))):
        for history in population.histories.values():
            for event in history.events:
                match event.content:
                    case Preference(prompt, chosen, rejected):
                        texts += [prompt, chosen, rejected]
                    case Reaction(prompt, completion, _):
                        texts += [prompt, completion]
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", choices=CONVERSATIONS, default="pets")
    args = parser.parse_args()
    conversation = CONVERSATIONS[args.source]
    torch.set_num_threads(1)
    tokenizer = tiny.train_tokenizer(corpus(4000, conversation))
    with Progress() as progress:
        task = progress.add_task("supervised training", total=args.steps)
        base = tiny.train_base(
            tokenizer,
            args.steps,
            args.seed,
            on_step=lambda step, loss: progress.update(task, completed=step + 1, description=f"loss {loss:.3f}"),
            conversation=conversation,
        )
    base.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    print(f"{sum(p.numel() for p in base.parameters()):,} parameters, {len(tokenizer)} tokens")
    if args.source != "pets":
        return
    print("sampled:", tiny.what_it_says(base, tokenizer))
    print("greedy: ", tiny.what_it_says(base, tokenizer, sample=False))


if __name__ == "__main__":
    main()
