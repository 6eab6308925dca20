"""The notebook from a table of one's own to the page runs as it stands."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbclient import NotebookClient
from support.running import ENVIRONMENT, ROOT


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / "notebooks" / "03_your_data.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without output"
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert re.search(r"users +│ 279,", shown) and "bradley_terry" in shown
    assert "They want public transport to be free." in shown
    assert re.search(r"http://127\.0\.0\.1:\d+/in\?token=\.\.\.", shown)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
