"""The table of verbs and environments: every verb is in it, and a cell is "works", a missing extra, or a fault."""

from __future__ import annotations

import stat

import check_extras
import pytest
from typer.main import get_command

from plus.cli.main import app

MISSING = "plus judge needs openai, which is not installed; pip install 'plus-preferences[api]'"


def verbs(command, name=""):
    """Yield every verb's name."""
    for child in getattr(command, "commands", {}).values():
        yield from verbs(child, f"{name} {child.name}".strip())
    if not hasattr(command, "commands"):
        yield name


def test_every_verb_has_a_row_of_its_own():
    labels = [check_extras.label_of(line) for line in check_extras.LINES.splitlines()]
    assert len(set(labels)) == len(labels)
    known = set(verbs(get_command(app)))
    assert {label.split(" --")[0].removesuffix(" URL").removesuffix(" RUN") for label in labels} == known


@pytest.mark.parametrize(
    ("status", "stderr", "cell"),
    [
        (0, "a note", "works"),
        (2, f"plus: {MISSING}", MISSING),
        (0, "Traceback (most recent call last):", "FAULT: Traceback (most recent call last):"),
        (2, "plus: there is no file c.jsonl", "FAULT: plus: there is no file c.jsonl"),
        (1, "plus: unexpected KeyError: 'x'", "FAULT: plus: unexpected KeyError: 'x'"),
    ],
)
def test_a_cell_says_what_a_line_did(status, stderr, cell, tmp_path):
    plus = tmp_path / "plus"
    plus.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{stderr}\nEND\nexit {status}\n")
    plus.chmod(plus.stat().st_mode | stat.S_IXUSR)
    check_extras.write_inputs(tmp_path)
    assert check_extras.run_line(plus, "ingest choices.jsonl", tmp_path, "", 10) == cell


def test_a_line_that_goes_on_is_stopped_and_works(tmp_path):
    plus = tmp_path / "plus"
    plus.write_text("#!/bin/sh\nexec sleep 30\n")
    plus.chmod(plus.stat().st_mode | stat.S_IXUSR)
    check_extras.write_inputs(tmp_path)
    assert check_extras.run_line(plus, "demo", tmp_path, "", 0.5) == "works (stopped after 0 s)"
