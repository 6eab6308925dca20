"""P[Love] end to end: python scripts/love_polis.py OUT [FOLDER ...]

Each FOLDER is a Polis conversation; without any it is the shipped sample, where every number is noise. Reads the
votes as reactions, trains, judges on new voters, keeps the model and asks it as TRL would. Prints one line a
conversation; OUT/NAME has love.json and report.json. A minute or two of one core each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import plus
from plus.resources import shipped

HEAD = (
    "| conversation | voters | P[Love] | rate + own rate + leniency | gain | slope | ECE, if perfect "
    "| r, slope offline to online | by time |"
)


def shown(value: list[float | None]) -> str:
    mean, low, high = ("-" if number is None else f"{number:.3f}" for number in value)
    return f"{mean} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(f"{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
    for folder in args.folders or [shipped("polis_sample")]:
        found = plus.love([folder], output_dir=args.out / folder.name, seed=args.seed).to_json()
        best = "rate + own rate + leniency"
        error, online = found["calibration"], found["offline_to_online"]
        cells = [
            folder.name, str(found["users"]), shown(found["auroc"]["P[Love]"]), shown(found["auroc"][best]),
            shown(found["gain"][best]), shown(error["slope"]), f"{error['ece']:.3f}, {error['if_perfect']:.3f}",
            online.get("not_computed") or f"{shown(online['r'])}, {shown(online['slope'])}",
            "yes" if found["timed"] else "no: no times",
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)
        reward = plus.Love.load(args.out / folder.name).as_reward_function()
        (value,) = reward(prompts=["What do you think?"], completions=["We should listen to each other."])
        assert 0 < value < 1


if __name__ == "__main__":
    main()
