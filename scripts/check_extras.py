"""Every verb in clean environments without the optional packages: it works, or names the missing extra in one line.

Installs the core, [api] and [train] from this clone, runs a command line of every verb in each, prints a Markdown
table. Nothing leaves this machine. Exit status 1 where a cell is a FAULT. The cheap ones: --only core api
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {"core": "", "api": "[api]", "train": "[train]"}
# In the order in which they need each other; {run} is a run folder, {url} a stand-in for a model.
LINES = """ingest choices.jsonl --store s.db
import summaries.jsonl --store s.db
export --output out.jsonl --store s.db
doctor --store s.db
profile list --store s.db
profile show u1 --store s.db
profile edit u1 --add "Likes tea." --store s.db
profile lock u1 s1 --store s.db
profile forbid u1 "Likes fish." --store s.db
profile history u1 --store s.db
profile diff u1 --store s.db
profile restore u1 1 --store s.db
profile events u1 --store s.db
profile export u1 --store s.db
profile erase u1 s1 --store s.db
profile pause u2 --store s.db
profile resume u2 --store s.db
profile rules --add health --store s.db
profile actions --store s.db
profile tell u1 "I like tea." --model m --base_url {url} --store s.db --dry-run
backup kept.db --store s.db
restore kept.db --store again.db
store copy s.db copied.db
data check choices.jsonl
data head choices.jsonl
data card choices.jsonl
data split choices.jsonl --output_dir splits
signals talks.jsonl --engine rules
signals talks.jsonl --model m --base_url {url}
pairs --store s.db --output pairs.jsonl
pairs --store s.db --output more.jsonl --model m --base_url {url}
prompt u1 --store s.db
chat u1 "Which tea?" --store s.db --base_url {url}
proxy --store s.db --upstream {url} --dry-run
mcp --store s.db
studio --store s.db
wording --model m --base_url {url}
summarize {url} choices.jsonl --model m
judge --store s.db --judge_model m --base_url {url} --output_dir asked
train --dataset_name pets --preset tiny --max_steps 1 --output_dir run
summarize {run} choices.jsonl --output written.jsonl
summarize {run} choices.jsonl --update --store s.db
evaluate {run}
audit {run} --max_examples 8
push {run} me/x --dry-run
profile score u1 --run {run} --store s.db
profile why u1 --run {run} --store s.db
judge --store s.db --reward_model --past_events 1 --run {run} --output_dir judged
gate --run {run} --store s.db
love reactions.jsonl
policy prompts.jsonl --goals goals.yaml --model_name_or_path {tiny_base} --output_dir policy --max_steps 1
benchmark --dataset_name pets --quick --methods constant --seeds 1
demo
forget u1 --store s.db"""
MODES = ("--model", "--update", "--reward_model", "--judge_model")  # they tell two lines of a verb apart
MISSING = re.compile(r"^plus: (.* needs? .*pip install 'plus-preferences\[.*)$")


def write_inputs(folder: Path) -> None:
    """Write the choices, reactions, conversations, summaries, prompts and goals that the command lines read."""
    folder.mkdir(exist_ok=True)
    talk = [("user", "Which tea?"), ("assistant", "Black."), ("user", "Thanks, that is perfect!")]
    rows = {
        "choices": [{"prompt": f"Tea {n}?", "chosen": f"Herbal {n}.", "rejected": "No."} for n in range(10)],
        "reactions": [{"prompt": f"Tea {n}?", "completion": f"Mint {n}.", "label": n % 3 == 0} for n in range(10)],
        "talks": [{"messages": [{"role": role, "content": text} for role, text in talk]}],
        "summaries": [{"summary": "The user likes herbal tea. The user is brief."}],
        "prompts": [{"prompt": f"Tea {n}?", "summary": "Likes tea."} for n in range(10)],
    }
    for name, values in rows.items():
        every = [json.dumps({"user_id": f"u{user}", **row}) + "\n" for user in range(12) for row in values]
        (folder / f"{name}.jsonl").write_text("".join(every))
    (folder / "goals.yaml").write_text("goals:\n  brief: {words: 5}\n")
    (folder / "request.json").write_text('{"model": "m", "user": "u1", "messages": [{"role": "user", "content": ""}]}')
    # Where nothing can be trained, verbs that load a run still find one.
    for part in ("summarizer", "reward_model"):
        shutil.copytree(ROOT / "data" / "tiny_base", folder / "copied" / part)
    (folder / "copied" / "config.json").write_text('{"dataset_name": "pets", "seed": 0}')


def make_environment(folder: Path, extra: str) -> None:
    """Install this clone with an extra into a virtual environment, at the versions of constraints.txt."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/pip", "install", "-qc", ROOT / "constraints.txt", f"{ROOT}{extra}"], check=True)


def run_line(plus: Path, line: str, folder: Path, url: str = "", limit: float = 120) -> str:
    """Run one command line: "works", the line that names an extra, or "FAULT: ..." with the last line of stderr."""
    run = "run" if (folder / "run" / "reward_model").is_dir() else "copied"
    words = shlex.split(line.format(run=run, url=url, tiny_base=ROOT / "data" / "tiny_base"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PLUS_", "OPENAI_", "PYTHON"))}
    environment = {**kept, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    options = {
        "cwd": folder,
        "env": environment,
        "capture_output": True,
        "text": True,
        "timeout": limit,
    }
    with (folder / "request.json").open() as stdin:
        try:
            done = subprocess.run([plus, *words], stdin=stdin, **options)
        except subprocess.TimeoutExpired:
            return f"works (stopped after {limit:.0f} s)"
    if done.returncode == 0 and "Traceback" not in done.stderr:
        return "works"
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return missing[1] if done.returncode == 2 and (missing := MISSING.match(last)) else f"FAULT: {last}"


def label_of(line: str) -> str:
    """Name a command line by its verb, and by its mode where the verb has several."""
    words = [{"{run}": "RUN", "{url}": "URL"}.get(word, word) for word in shlex.split(line)]
    verb = words[: 2 if words[0] in ("profile", "data", "store", "summarize") else 1]
    return " ".join([*verb, *(mode for mode in MODES if mode in words and verb[-1] != "URL")])


def main() -> int:
    """Print the table; 1 where a cell is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=EXTRAS, default=[*EXTRAS], help="these environments")
    parser.add_argument("--folder", type=Path, help="keeps the environments; default: a temporary folder")
    asked = parser.parse_args()
    cells: dict[str, list[str]] = {label_of(line): [] for line in LINES.splitlines()}
    sys.path.insert(0, str(ROOT))
    from plus.serve.fake_server import serving  # the stand-in for a model

    with tempfile.TemporaryDirectory() as scratch, serving() as url:
        for name in asked.only:
            make_environment(environment := (asked.folder or Path(scratch)) / name, EXTRAS[name])
            write_inputs(work := Path(scratch) / f"{name}-work")
            for line in LINES.splitlines():
                cells[label_of(line)].append(run_line(environment / "bin/plus", line, work, url))
    print(f"| plus | {' | '.join(asked.only)} |")
    print("|---" * (1 + len(asked.only)) + "|")
    for label, found in cells.items():
        print(f"| {label} | {' | '.join(found)} |")
    return int(any(cell.startswith("FAULT") for found in cells.values() for cell in found))


if __name__ == "__main__":
    sys.exit(main())
