"""A flood against P[Love]: python scripts/love_attack.py FOLDER [--seeds 3] [--share 0.05]

FOLDER is a Polis conversation. A share of its voters love the worst liked answer a hundred times each: in one
burst, one by one over weeks, and over weeks with changed words. Printed is how far the ranking of all
answers moves (1 - Spearman's rho, mean over seeds) and where the pushed answer ends, with the guards and without;
the line to compare with is two clean trainings that differ in their seed alone.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random

from scipy.stats import rankdata, spearmanr

from plus.love import reactions, splits
from plus.love.guards import OFF, Guards, guard
from plus.love.model import LoveSettings, frozen_models
from plus.love.report import ranking
from plus.love.run import fit
from plus.measures import mean
from plus.models.embeddings import Embeddings, minilm
from plus.types import Dropped, Event, Reaction

ATTACKS = {"burst": 0.5, "drip": 3600.0, "reworded": 3600.0}
EXTRA = ("really", "so", "truly", "indeed", "well", "yes", "friends", "folks", "again", "please")


def attacked(
    events: dict[str, list[Event]], answer: str, kind: str, share: float, times: int = 100
) -> tuple[dict[str, list[Event]], list[str]]:
    """Plant a flood in the log: (the log with it, the users who flood)."""
    rng = Random("attack")
    flooders = rng.sample(sorted(events), round(share * len(events)))
    made = {user: list(past) for user, past in events.items()}
    for user in flooders:
        for n in range(times):
            text = answer if kind != "reworded" else " ".join([*rng.sample(EXTRA, 2), answer])
            start = (made[user][-1].time or 0.0) + ATTACKS[kind]
            made[user].append(Event(f"flood-{n}", "reaction", Reaction(f"Once more ({n})", text, True), start))
    return made, flooders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--kinds", nargs="+", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument(
        "--condition", default="none", help="none: the ranking of all. history: that of a panel of voters."
    )
    args = parser.parse_args()
    clean, _ = guard(reactions.load([args.folder], Dropped(), Dropped()), Guards(), Dropped())
    seen = Counter(event.content.completion for past in clean.values() for event in past)
    love = Counter(event.content.completion for past in clean.values() for event in past if event.content.label)
    asked = [answer for answer in sorted(seen) if seen[answer] >= 20]
    worst = min((a for a in asked if len(a.split()) > 8), key=lambda a: love[a] / seen[a])
    new_model = frozen_models(read_prompts=False, embeddings=Embeddings(minilm()))

    def ranks(events: dict[str, list[Event]], seed: int) -> list[float]:
        model = fit(events, LoveSettings(seed=seed, condition=args.condition), new_model)
        panel = [model.user_texts.of(user, splits.split_user(user, clean[user]).context) for user in sorted(clean)[::8]]
        panel = panel[:1] if args.condition == "none" else panel  # Without texts every user is the same.
        return ranking(model, panel, [Reaction("", answer, True) for answer in asked])

    def place(values: list[float]) -> float:
        return float(rankdata([-value for value in values])[asked.index(worst)])

    base = [ranks(clean, seed) for seed in range(args.seeds)]
    pairs = [1 - spearmanr(a, b).statistic for a, b in combinations(base, 2)]
    print(f"{len(clean)} users, {len(asked)} answers; pushed: {worst!r}, loved by {love[worst] / seen[worst]:.0%}")
    print(
        f"clean seeds: moved {mean(pairs):.4f} (each pair {', '.join(f'{p:.4f}' for p in pairs)}), "
        f"place {mean(map(place, base)):.1f}",
        flush=True,
    )
    for kind in args.kinds:
        log, flooders = attacked(clean, worst, kind, args.share)
        for name, rules in (("guards on", Guards()), ("guards off", OFF)):
            kept, suspects = guard(log, rules, Dropped())
            after = [ranks(kept, seed) for seed in range(args.seeds)]
            moved = mean(1 - spearmanr(a, b).statistic for a, b in zip(base, after, strict=True))
            reported = {suspect.user_id for suspect in suspects}
            named = f"{len(reported & set(flooders))} of {len(flooders)} named, {len(reported - set(flooders))} others"
            print(f"{kind}, {name}: moved {moved:.4f}, place {mean(map(place, after)):.1f}; {named}", flush=True)


if __name__ == "__main__":
    main()
