"""Build the pages of docs/ with Sphinx: `make docs`. The command line's reference is written here, from the verbs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import plus

HERE = Path(__file__).parent
COMMAND_LINE = HERE / "reference" / "command_line.md"

project, author, copyright = "plus", "the plus authors", "the plus authors"
version = release = plus.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "plus"
html_copy_source = html_show_sourcelink = False
exclude_patterns = ["_build"]
highlight_language = "none"  # An indented block is a command, a drawing or a table, no Python.
autodoc_typehints = "none"  # The signature has them.
myst_heading_anchors = 3
linkcheck_ignore = [r"http://(127\.0\.0\.1|localhost).*"]


def plain(app: Any, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Render a docstring as plain text: a paragraph for each parameter, no markup but names in backquotes."""
    text = [re.sub(r"([*_|])", r"\\\1", line.strip()) if "`" not in line else line.strip() for line in lines]
    apart = [re.sub(r"^(?=[\w\\, ]+: )", "\n", line) for line in text]
    lines[:] = "\n".join(apart).splitlines()


def setup(app: Any) -> None:
    """Write the reference of the command line from typer's own description of it."""
    app.connect("autodoc-process-docstring", plain)
    words = [sys.executable, "-m", "typer", "plus.cli.main", "utils", "docs", "--name", "plus"]
    done = subprocess.run(words, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, check=True)
    text = done.stdout.partition("\n")[2]
    COMMAND_LINE.write_text(f"# The command line\n\n{text}", encoding="utf-8")
