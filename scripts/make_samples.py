"""Cut the small samples in data/ from the full data sets: python scripts/make_samples.py DATA OUT

DATA holds llmfao/ and polis/ as published; OUT gets the same files with fewer rows, so
the ordinary loaders read them. Deterministic; the attribution stands in data/README.md.
"""

import csv
import json
import random
import sys
from collections import defaultdict
from pathlib import Path

POLIS, VOTERS, WORKERS, MAX_ANSWER = "brexit-consensus", 24, 20, 1000
TAXES, LEAST = "scoop-hivemind.taxes", 12  # the conversation that the demo trains on, and votes that a voter cast


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def polis(source: Path, out: Path, least: int = 15, most: int = 30, number: int = VOTERS) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.csv").write_text((source / "summary.csv").read_text(encoding="utf-8"), encoding="utf-8")
    comments = list(csv.DictReader((source / "comments.csv").open(encoding="utf-8", newline="")))
    by_voter = defaultdict(list)
    for row in csv.DictReader((source / "votes.csv").open(encoding="utf-8", newline="")):
        by_voter[row["voter-id"]].append(row)
    voters = sorted(v for v, rows in by_voter.items() if least <= len(rows) <= most)
    chosen = set(random.Random(0).sample(voters, min(number, len(voters))))
    votes = [row for voter, rows in by_voter.items() if voter in chosen for row in rows]
    used = {row["comment-id"] for row in votes}
    write_csv(out / "votes.csv", sorted(votes, key=lambda row: int(row["timestamp"])))
    write_csv(out / "comments.csv", [row for row in comments if row["comment-id"] in used])


def llmfao(source: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    pairs = [json.loads(line) for line in (source / "pairs-crowd.jsonl").open(encoding="utf-8")]
    short = {
        str(p["id"]): p for p in pairs if 0 < len(p["result_x"]) <= MAX_ANSWER and 0 < len(p["result_y"]) <= MAX_ANSWER
    }
    by_worker = defaultdict(list)
    for row in csv.DictReader((source / "crowd-comparisons.csv").open(encoding="utf-8", newline="")):
        if row["id"] in short:
            by_worker[row["worker"]].append(row)
    workers = sorted((w for w, rows in by_worker.items() if sum(r["winner"] != "tie" for r in rows) >= 10), key=int)
    chosen = random.Random(0).sample(workers, min(WORKERS, len(workers)))
    kept = [row for worker in sorted(chosen, key=int) for row in by_worker[worker][:12]]
    write_csv(out / "crowd-comparisons.csv", kept)
    with (out / "pairs-crowd.jsonl").open("w", encoding="utf-8") as file:
        for number in sorted({row["id"] for row in kept}, key=int):
            pair = short[number]
            file.write(json.dumps({key: pair[key] for key in ("id", "prompt", "text", "result_x", "result_y")}) + "\n")


if __name__ == "__main__":
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    polis(data / "polis" / POLIS, out / "polis_sample")
    polis(data / "polis" / TAXES, out / "polis_taxes", LEAST, 1_000_000, 1_000_000)
    llmfao(data / "llmfao", out / "llmfao_sample")
