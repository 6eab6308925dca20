"""100,000 users with ten choices each: every one is summarized in bounded memory, and training reads a sample."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support.counting import PEAK_KB
from support.running import ENVIRONMENT

import plus
from plus.sources.histories import UserLines
from plus.sources.splits import in_sample

# A user's id, ten choices and a summary of 2 kB are 8 kB; what may be kept of them is ids, places and hashes.
KB_A_USER = 1.5


def choices(path: Path, users: int, together: bool = True) -> Path:
    """Ten choices of each user between 300 statements; with `together` false a user's lie all over the file."""
    rng = random.Random(0)
    statements = [f"On matter {number} the city should pay more attention to what it costs." for number in range(300)]
    owners = [user for user in range(users) for _ in range(10)]
    if not together:
        rng.shuffle(owners)
    with path.open("w") as file:
        for time, owner in enumerate(owners):
            chosen, rejected = rng.sample(statements, 2)
            row = {
                "user_id": f"u{owner}",
                "timestamp": time,
                "prompt": "Which?",
                "chosen": chosen,
                "rejected": rejected,
            }
            file.write(json.dumps(row) + "\n")
    return path


def peak_kb(*words: str | Path) -> tuple[int, str]:
    """Peak memory of the command line in a process of its own, and what it said."""
    code = (
        f"import sys\nfrom plus.cli.main import main\nsys.argv = {['plus', *map(str, words)]!r}\n"
        f"try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\nprint('peak', {PEAK_KB})"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.rsplit("peak ", 1)[1]), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_users_are_all_summarized_in_bounded_memory(selected, tmp_path):
    few, _ = peak_kb("summarize", selected, choices(tmp_path / "few.jsonl", 10_000), "--output", tmp_path / "few.out")
    file, output = choices(tmp_path / "many.jsonl", 100_000, together=False), tmp_path / "many.out"
    many, said = peak_kb("summarize", selected, file, "--output", output)
    assert "100,000 summaries in" in said and "left out" not in said
    assert many - few < 90_000 * KB_A_USER, (few, many)
    # Every user once, in the file's order, with the text that the run gives their history.
    histories, run = UserLines(file), plus.load(selected)
    with output.open() as lines:
        for number, (user, line) in enumerate(zip(histories, lines, strict=True)):
            row = json.loads(line)
            assert row["user_id"] == user
            if number % 997 == 0:
                assert row["summary"] == run.summarize(histories[user]), user


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_training_reads_a_sample_of_many_users(tmp_path):
    folders = {}
    for name, users in (("few", 20_000), ("many", 100_000)):
        file, folder = choices(tmp_path / f"{name}.jsonl", users), tmp_path / name
        words = ["train", file, "--output_dir", folder, "--max_steps", "5", "--max_users", "1000"]
        folders[name] = peak_kb(*words)
        assert f"training reads about 1,000 of {users:,} users" in folders[name][1]
        kept = [json.loads(line)["user_id"] for line in (folder / "data.jsonl").read_text().splitlines()]
        assert sorted(kept) == sorted(f"u{n}" for n in range(users) if in_sample(f"u{n}", 1000 / users))
        assert 900 < len(kept) < 1100
        report = json.loads((folder / "report.json").read_text())
        assert 200 < report["test"]["users"] < 400
    assert folders["many"][0] - folders["few"][0] < 80_000 * KB_A_USER, folders


def test_a_sample_stays_the_same_when_the_file_grows():
    """Another hash than the splits': a sample of one tenth has a tenth of each split."""
    from plus.sources.splits import hashed_split

    users = [f"u{n}" for n in range(20_000)]
    small = [user for user in users[:10_000] if in_sample(user, 0.1)]
    assert small == [user for user in users if in_sample(user, 0.1)][: len(small)]
    assert 900 < len(small) < 1100 and all(in_sample(user, 1.0) for user in users)
    split = hashed_split(users, 42)
    tested = sum(split[user] == "test" for user in small) / len(small)
    assert 0.25 < tested < 0.35
