"""Profiles from a chat log without choices: ingest, pairs, train, export.

    python scripts/log_to_profiles.py OUT [--users 600] [--log chats.jsonl] [--steps 40]   # five minutes on two cores

Without --log a log is made in which each user likes one animal best: they reject answers with other animals, and thank
for those with theirs. OUT/planted.json holds each user's animal, OUT/profiles.jsonl the learned summaries.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from plus.worlds.pets import ANIMALS, comparison

COMPLAINTS = (
    "No, try again.",
    "I don't like that.",
    "That's not what I wanted.",
    "Please rewrite it.",
    "This is not helpful.",
)
THANKS = ("Perfect, thank you!", "Great, thanks!", "Thanks, I love it.", "Excellent!", "Thank you so much.")
TALKS = 6  # conversations of each user


def made_log(users: int, seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Make a log: (rows in OpenAI's chat format, user -> favourite)."""
    rng = random.Random(f"log-{seed}")
    planted = {f"user-{number}": rng.choice(ANIMALS) for number in range(users)}
    rows = []
    for user, favourite in planted.items():
        for number in range(TALKS):
            pair = comparison(rng, favourite, rng.choice([animal for animal in ANIMALS if animal != favourite]))
            texts = (pair.prompt, pair.rejected, rng.choice(COMPLAINTS), pair.chosen, rng.choice(THANKS))
            messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
            session = {"user_id": user, "session_id": f"{user}-{number}", "timestamp": 1.7e9 + number}
            rows.append({**session, "messages": messages})
    return rows, planted


def plus(*arguments: object) -> None:
    """Print a command and run it."""
    command = [sys.executable, "-m", "plus", *map(str, arguments)]
    print("$ plus", shlex.join(command[3:]), flush=True)
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--log", type=Path)
    args = parser.parse_args()
    out, log = args.out, args.log or args.out / "chats.jsonl"
    out.mkdir(parents=True)
    if args.log is None:
        rows, planted = made_log(args.users)
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (out / "planted.json").write_text(json.dumps(planted))
    plus("ingest", log, "--store", out / "profiles.db")
    plus("pairs", "--store", out / "profiles.db", "--engine", "rules", "--output", out / "pairs.jsonl")
    plus(
        "train", "--dataset_name", out / "pairs.jsonl", "--past_events", 3, "--preset", "tiny",
        "--max_steps", args.steps, "--output_dir", out / "run",
    )  # fmt: skip
    plus("export", "--store", out / "run", "--format", "jsonl", "--output", out / "profiles.jsonl")


if __name__ == "__main__":
    main()
