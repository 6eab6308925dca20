"""Make the tiny language model in data/tiny_base.

python scripts/make_tiny_base.py OUT [--steps N] [--seed S] [--source pets_ood]

Two and a half minutes on one CPU core for pets, eight for styles. Prints what the base says of new
users, sampled and greedy, before `plus` has taught it anything.
"""

import argparse
from pathlib import Path

import torch
from rich.progress import Progress
from transformers import AutoModelForCausalLM, AutoTokenizer

from plus.benchmark import bases
from plus.models import tiny


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", choices=bases.RECIPES, default="pets")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with Progress() as progress:
        task = progress.add_task("supervised training", total=args.steps or bases.RECIPES[args.source].steps)
        bases.make(
            args.out, args.source, args.seed, args.steps,
            on_step=lambda step, loss: progress.update(task, completed=step + 1, description=f"loss {loss:.3f}"),
        )  # fmt: skip
    base, tokenizer = AutoModelForCausalLM.from_pretrained(args.out), AutoTokenizer.from_pretrained(args.out)
    print(f"{sum(p.numel() for p in base.parameters()):,} parameters, {len(tokenizer)} tokens")
    if args.source != "pets":
        return
    print("sampled:", tiny.what_it_says(base, tokenizer))
    print("greedy: ", tiny.what_it_says(base, tokenizer, sample=False))


if __name__ == "__main__":
    main()
