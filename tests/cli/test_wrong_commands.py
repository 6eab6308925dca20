"""Wrong commands, as a newcomer types them: each leads to the next step, in a line, with its status."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support import logs
from support.running import ENVIRONMENT, data_of

from plus.cli.verb import example_first

ROW = {"user_id": "ann", "prompt": "Tax?", "chosen": "Less.", "rejected": "More."}

# What is typed in a folder with my.jsonl (rows), chat.json (a ChatGPT export) and notes.txt -> what is printed of it.
WRONG = {
    "trian my.jsonl": "No such command 'trian'. Did you mean 'train'?",
    "profile shwo ann": "No such command 'shwo'. Did you mean 'show'?",
    "data chek my.jsonl": "No such command 'chek'. Did you mean 'check'?",
    "train": "--dataset_name is missing; a run takes both: plus train FILE --output_dir RUN",
    "train my.jsonl": "--output_dir is missing; a run takes both",
    "train nowhere.jsonl --output_dir r": "there is no file or folder nowhere.jsonl",
    "train nowhere.jsonl --output_dir r --dry-run": "there is no file or folder nowhere.jsonl",
    "train my.jsonl --outptu_dir r": "did you mean --output_dir?",
    "train pets --preset tiny --learning_rat 1 --output_dir r --dry-run": "did you mean --learning_rate?",
    "train my.jsonl r": "unexpected argument 'r'",
    "train chat.json --output_dir r": "it is a log (chatgpt): plus ingest reads it",
    "train chat.json --output_dir r --dry-run": "it is a log (chatgpt): plus ingest reads it",
    "train notes.txt --output_dir r": "notes.txt",
    "train my.jsonl --preset huge --output_dir r": "huge",
    "train my.jsonl --max_steps many --output_dir r": "unable to parse string as an integer",
    "demo --sed 1": "No such option: --sed",
    "evaluate": "Missing argument 'run'",
    "evaluate nowhere": "nowhere",
    "audit nowhere": "nowhere",
    "profile show ann --store nowhere.db": "nowhere.db",
    "profile show": "Missing argument 'user'",
    "summarize nowhere my.jsonl": "nowhere",
    "ingest nowhere.json --store p.db": "there is no file or folder nowhere.json",
    "ingest my.jsonl --stroe p.db": "No such option: --stroe",
    "export --format exel --output o --store p.db": "there is no profile store at p.db",
    "proxy --store nowhere.db": "no key for the upstream; set OPENAI_API_KEY",
    "forget ann --store nowhere.db": "nowhere.db",
    "data check": "Missing argument",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_leads_to_the_next_step_and_changes_nothing(line, plus_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.jsonl").write_text(json.dumps(ROW) + "\n")
    (tmp_path / "chat.json").write_text(json.dumps([logs.chatgpt("c1")]))
    (tmp_path / "notes.txt").write_text("Ann likes tea.\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    status, out, err = plus_here(*line.split())
    said = " ".join(part.strip("│ ") for part in err.splitlines())
    assert WRONG[line] in " ".join(said.split()), said
    assert status == 2 and not out.strip().startswith("Traceback") and "fault of plus" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "kept"),
    [(["--use_peft"], True), (["--use_peft", "true"], True), (["--use-peft=True"], True), (["--no-use_peft"], False),
     (["--use_peft", "false"], False), (["--use_peft=false"], False)],
)  # fmt: skip
def test_a_flag_is_written_as_people_write_it(words, kept, plus_here, tmp_path):
    options = (
        "--model_name_or_path",
        "some/model",
        "--reward_model_name_or_path",
        "some/model",
        "--output_dir",
        tmp_path / "r",
        "--dry-run",
    )
    status, out, err = plus_here("train", "pets", *words, *options)
    assert status == 0, err
    assert data_of(out)["use_peft"] is kept


def test_a_flag_without_an_opposite_is_off_after_false(plus_here):
    shown = [plus_here("data", "check", "--json", word, "nowhere.jsonl") for word in ("true", "false")]
    assert {status for status, *_ in shown} == {2}
    assert all("there is no file or folder nowhere.jsonl" in err for *_, err in shown), shown


def test_help_of_a_verb_begins_with_its_example():
    def sing() -> None:
        """Sing to a user.

        Loudly.

        Example: plus sing ann
        """

    assert example_first(sing) == "Example: plus sing ann\n\nSing to a user.\n\nLoudly."


def test_the_shell_completes_verbs_and_options():
    def completed(words: str, position: int) -> list[str]:
        asked = {"_PLUS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        code = "import sys; sys.argv = ['plus']; from plus.cli.main import main; main()"
        done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT | asked, capture_output=True, text=True)
        return done.stdout.split()

    assert completed("plus tr", 1) == ["train"]
    assert "--dataset-name" in completed("plus train --data", 2)


def test_plus_alone_shows_its_verbs(plus_here):
    status, out, err = plus_here()
    assert status in (0, 2) and "Profiles" in out + err and "Traceback" not in out + err
