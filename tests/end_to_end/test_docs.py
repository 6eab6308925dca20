"""What README and docs show is what happens: programs run, commands and options exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.running import ENVIRONMENT, ROOT

from plus.benchmark.evidence import demo_promises
from plus.cli.main import app

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]
GENERATED = DOCS / "reference" / "command_line.md"
PROGRAMS = [
    (str(page.relative_to(ROOT)), number, program)
    for page in PAGES
    for number, program in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S))
]
COMMAND_LINE = typer.main.get_command(app)
ANY_OPTION = {"train", "policy"}  # These take every field of TRL's configuration too.


@pytest.mark.parametrize(("page", "number", "program"), PROGRAMS, ids=[f"{page}-{n}" for page, n, _ in PROGRAMS])
@pytest.mark.reads_demo
def test_every_program_runs_and_prints_what_it_says(page, number, program, request, tmp_path):
    if "runs/demo-0" in program:
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "demo-0").symlink_to(Path(request.getfixturevalue("demo")["run"]))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"^[^#\n]*\)  # (.*)", program, re.M)


def commands(text: str) -> list[list[str]]:
    """Find the command lines of a page's code, those that continue on the next line in one."""
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.S) + re.findall(r"(?:^ {4}.*\n)+", text, re.M)
    blocks += re.findall(r"`(plus [^`]+)`", text)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [line.partition("  #")[0].removeprefix(".venv/bin/") for line in lines]
    return [shlex.split(line.replace("...", ""), comments=True) for line in words if line.startswith("plus ")]


def unknown(words: list[str]) -> list[str]:
    """List what plus does not have of a command line: its verb, or options of it."""
    at = COMMAND_LINE
    verbs = []
    while words[1:] and hasattr(at, "commands"):
        verb = words[1]
        if verb.isupper() or verb.startswith("-"):
            return []  # `plus VERB --help` and `plus --help` name no verb.
        if verb not in at.commands:
            return [verb]
        verbs, at, words = [*verbs, verb], at.commands[verb], words[1:]
    have = {spelled for parameter in at.params for spelled in (*parameter.opts, *parameter.secondary_opts)}
    asked = [word.partition("=")[0] for word in words if re.match(r"--\w", word)]
    known = {name.replace("_", "-") for name in have} | {"--help", "--debug"}
    return [] if verbs[0] in ANY_OPTION else [option for option in asked if option.replace("_", "-") not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_shows_exists(page):
    if page == GENERATED:
        return
    wrong = [(words, found) for words in commands(page.read_text(encoding="utf-8")) if (found := unknown(words))]
    assert not wrong


def test_planted_faults_in_commands_are_found():
    page = "Run `plus sing ann` or\n\n    plus profile show ann --colour red\n    plus proxy --store p.db\n"
    assert [unknown(words) for words in commands(page)] == [["--colour"], [], ["sing"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_exists(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_stands_in_the_index_and_the_readme_leads_to_each_kind():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert (page.name == "index.md" and page.parent == DOCS) or str(page.relative_to(DOCS))[:-3] in index, page


def test_the_readme_is_short():
    text = PAGES[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200 and len(text.encode()) <= 14 * 1024


def test_the_table_promises_what_the_demo_checks_and_no_measured_value_misses():
    page = (DOCS / "results" / "demo.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.]+) to ([\d.]+) \| ([\d./ ]+) \|", page, re.M)
    assert {name: (float(low), float(high)) for name, low, high, _ in rows} == demo_promises()
    for name, low, high, measured in rows:
        values = [float(value) for value in measured.split(" / ")]
        assert len(values) == 5, name
        assert all(float(low) <= value <= float(high) for value in values), name
