"""`plus data` and `plus train` on a file of one's own, through the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.counting import PEAK_KB
from support.running import ENVIRONMENT, data_of, plus

from plus.worlds import pets


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps(row(u, n)) + "\n" for u in range(20) for n in range(6)))
    return path


def row(user: int, number: int, **change) -> dict:
    return {"user_id": f"u{user}", "prompt": f"p{number}", "chosen": f"yes {number}", "rejected": "no",
            "timestamp": 1_700_000_000 + number, **change}  # fmt: skip


def test_check_says_what_a_file_holds(log):
    done = plus("data", "check", log, "--json")
    assert done.returncode == 0, done.stderr
    facts = data_of(done.stdout)
    assert {key: facts[key] for key in ("shape", "rows", "kept", "users", "dropped")} == {
        "shape": "standard preference, explicit prompt", "rows": 120, "kept": 120, "users": 20, "dropped": {},
    }  # fmt: skip
    table = plus("data", "check", log).stdout
    assert "standard preference, explicit prompt" in table and "20, 6 to 6 rows each" in table


def test_bad_rows_are_counted_with_their_place_and_the_rest_is_used(log):
    """Every kind of bad row beside enough good ones: each is counted once, and nothing else is lost."""
    bad = {
        "lines that are not UTF-8": b'{"user_id": "\xff"}',
        "lines that are no JSON object": b"{",
        "rows with an empty answer": json.dumps(row(0, 7, chosen=" ")).encode(),
        "rows whose 'chosen' is neither text nor a list of messages": json.dumps(row(0, 7, chosen=[["a"]])).encode(),
        "rows with more than 1,000,000 characters in 'chosen'": json.dumps(row(0, 7, chosen="x" * 10_000_000)).encode(),
        "rows whose 'user_id' is neither text nor a whole number": json.dumps(row(0, 7, user_id={"a": 1})).encode(),
        "rows without a 'user_id'": json.dumps({"prompt": "p", "chosen": "a", "rejected": "b"}).encode(),
        "rows with neither {chosen, rejected}, {completion, label} nor {messages}": b'{"user_id": "a", "prompt": "p"}',
        "rows whose timestamp cannot be read": json.dumps(row(0, 7, timestamp="tomorrow")).encode(),
        "rows with an id that the user already has": json.dumps(row(0, 8, id=1)).encode(),
    }
    good = [
        row(0, 7, id=1),
        row(0, 9, user_id=7),
        row(0, 9, timestamp="2024-01-01T00:00:00Z"),
        row(0, 9, timestamp=1_700_000_000_000),
    ]
    lines = b"".join(json.dumps(line).encode() + b"\n" for line in good) + b"".join(
        line + b"\n" for line in bad.values()
    )
    log.write_bytes(log.read_bytes() + lines)
    done = plus("data", "check", log, "--json")
    assert done.returncode == 2
    facts = data_of(done.stdout, "source")
    assert facts["dropped"] == dict.fromkeys(bad, 1) and (facts["rows"], facts["kept"], facts["users"]) == (
        134,
        124,
        21,
    )
    assert facts["timestamps"] == {"seconds": 122, "ISO texts": 1, "milliseconds": 1}
    assert [facts["first_dropped"][reason] for reason in bad][:3] == [
        "my.jsonl line 125",
        "my.jsonl line 126",
        "my.jsonl line 127",
    ]
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("plus: ") and "7.5% of 134 rows cannot be used" in line and "--allow_dropped" in line
    assert plus("data", "check", log, "--allow_dropped").returncode == 0
    assert plus("data", "split", log, "--output_dir", log.parent / "out").returncode == 2
    done = plus("data", "split", log, "--output-dir", log.parent / "out", "--allow-dropped", "--json")
    assert done.returncode == 0 and sum(data_of(done.stdout)["rows"].values()) == 124


def test_what_cannot_be_used_at_all_is_one_line(tmp_path, log):
    pq.write_table(pa.Table.from_pylist([row(0, 0)] * 50), tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:300])
    (tmp_path / "columns.csv").write_text("who,what\na,b\n")
    (tmp_path / "empty.jsonl").write_text("")
    for arguments, expected in {
        ("check", tmp_path / "cut.parquet"): "no whole Parquet file, it broke at row 1",
        (
            "check",
            tmp_path / "columns.csv",
        ): "the row's columns are who, what; name the user's column with --user_id_column",
        ("check", tmp_path / "empty.jsonl"): "is empty; each row needs user_id",
        ("head", tmp_path / "absent.jsonl"): "there is no file or folder",
        ("head", "petz"): "there is no data set 'petz'",
        ("head", "nobody/nothing"): "cannot be read from the Hub",
        ("split", log, "--output_dir", tmp_path): "nothing is overwritten",
        (
            "split",
            log,
            "--output_dir",
            tmp_path / "n",
            "--split_by",
            "rows",
        ): "--split_by is 'rows'; it takes users, topics, later",
        ("split", log, "--output_dir", tmp_path / "n", "--test", "1"): "something must be left to train on",
    }.items():
        done = plus("data", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("plus: ") and expected in last, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_head_prints_rows_of_the_one_format(log):
    first, second = map(json.loads, plus("data", "head", log, "-n", "2").stdout.splitlines())
    assert first["prompt"] == [{"role": "user", "content": "p0"}] and first["timestamp"] == 1_700_000_000
    assert second["user_id"] == "u0" and second["split"] is None
    named = plus("data", "head", "styles_unlabelled", "--rows", "1")
    assert "messages" in json.loads(named.stdout)


def test_head_stops_when_its_reader_does(log):
    command = f"{sys.executable} -m plus data head {log} -n 120 | head -n 1"
    done = subprocess.run(command, shell=True, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert len(done.stdout.splitlines()) == 1 and "Traceback" not in done.stderr


def test_split_by_each_rule_and_check_what_was_written(log):
    for split_by, expected in {"users": (72, 12, 36), "topics": (60, 20, 40), "later": (80, 0, 40)}.items():
        folder = log.parent / split_by
        done = plus("data", "split", log, "--split_by", split_by, "--output_dir", folder, "--json")
        assert done.returncode == 0, done.stderr
        counts = data_of(done.stdout)["rows"]
        assert tuple(counts.get(name, 0) for name in ("train", "validation", "test")) == expected, split_by
        facts = data_of(plus("data", "check", folder, "--json").stdout)
        assert facts["rows"] == facts["kept"] == 120
        assert facts["shape"] == "conversational preference, explicit prompt"


def test_the_card_is_markdown_with_front_matter(log):
    done = plus("data", "card", log, "--license", "cc-by-4.0", "--title", "Mine")
    assert done.returncode == 0
    assert done.stdout.startswith("---\nlicense: cc-by-4.0\n")
    assert "# Mine" in done.stdout and "120 rows of 20 users, 6 to 6 each" in done.stdout
    assert str(log.parent) not in done.stdout


@pytest.mark.parametrize("verb", ["check", "head", "split", "card"])
def test_help_has_an_example(verb):
    done = plus("data", verb, "--help")
    assert done.returncode == 0 and f"Example: plus data {verb} my.jsonl" in done.stdout


def test_train_and_evaluate_take_a_file_of_mixed_shapes(tmp_path, plus_here):
    """Text and multi-turn rows in one file, the user in a column of another name, dashes in a flag."""
    population = pets.load(0, train_users=16, test_pairs=4)
    lines = []
    for example in population.examples:
        pair, past = example.target, example.history.events
        for number, content in enumerate([*(event.content for event in past), pair]):
            told = [
                {"role": "human", "content": "hello"},
                {"role": "bot", "content": "hi"},
                {"role": "human", "content": content.prompt},
            ]
            answers = {name: [{"role": "model", "content": getattr(content, name)}] for name in ("chosen", "rejected")}
            text = {"prompt": content.prompt, "chosen": content.chosen, "rejected": content.rejected}
            lines.append(
                {
                    "who": example.history.user_id,
                    "timestamp": number,
                    **({"prompt": told, **answers} if number % 2 else text),
                }
            )
    path, run = tmp_path / "my.jsonl", tmp_path / "run"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    own = ["--user-id-column", "who", "--past_events", "1-3"]
    small = ["--preset", "tiny", "--max_steps", "1", "--per_device_train_batch_size", "16"]
    status, out, err = plus_here("train", "--dataset_name", path, *own, *small, "--output_dir", run, "--json")
    assert status == 0, err[-2000:]
    report = data_of(out)
    assert report["test"]["targets"] > 0
    status, again, _ = plus_here("evaluate", run, "--json")
    assert status == 0 and data_of(again)["accuracy"]["plus"] == pytest.approx(report["accuracy"]["plus"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_gigabyte_is_checked_in_half_a_gigabyte_of_memory(tmp_path):
    """Three million rows with ids, of 200,000 users: peak memory of the process, and a bar on stderr."""
    path = tmp_path / "big.jsonl"
    with path.open("w") as file:
        number = 0
        while file.tell() < 2**30:
            for _ in range(1000):
                file.write(
                    json.dumps(row(number * 7919 % 200_000, number, id=f"row-{number}", rejected="word " * 40)) + "\n"
                )
                number += 1
    measure = (
        "import sys; from plus.cli.main import app; "
        "app(['data', 'check', sys.argv[1], '--json'], standalone_mode=False); "
        f"print({PEAK_KB}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, str(path)], env=ENVIRONMENT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    facts = data_of(done.stdout)
    assert facts["rows"] == facts["kept"] == number and facts["users"] == 200_000
    assert int(done.stderr.split()[-1]) < 500_000, "kB at the peak"
    assert os.path.getsize(path) >= 2**30
