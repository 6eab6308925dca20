"""The notebook that follows one user from log to reply runs as it stands, against the fake server."""

from __future__ import annotations

import re
import subprocess
import sys

import httpx2
import nbformat
import pytest
from nbclient import NotebookClient
from support.running import ENVIRONMENT, ROOT

from plus.prompts import INSTRUCTION, JUDGES, fenced, judge_messages
from plus.serve import fake_server


def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / "notebooks" / "01_one_user.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), (
        "kept without output: what it prints is not a result"
    )
    NotebookClient(notebook, timeout=800, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "The user likes cats best." in shown and "nothing was sent" in shown
    assert "| stand-in, prefer | summary | 1.000" in shown
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_the_stand_in_follows_its_rules():
    events = "Asked: x\nChosen: I saw cats.\nRejected: I saw dogs.\n\n" + INSTRUCTION
    assert fake_server.reply([{"role": "user", "content": events}]) == "The user likes cats best."
    profile = [{"role": "system", "content": fenced("The user likes cats best.")}, {"role": "user", "content": "Hi"}]
    assert fake_server.reply(profile) == "Here is an idea with cats."
    assert "most people" in fake_server.reply(profile[1:])
    for instruction in JUDGES.values():
        asked = judge_messages("The user likes cats best.", "Hi", "I saw dogs.", "I saw cats.", instruction)
        assert fake_server.reply(asked) == "B"
        assert fake_server.reply(judge_messages("", "Hi", "I saw dogs.", "I saw cats.", instruction)) == "TIE"


@pytest.mark.timeout(600)
def test_anyone_can_start_it():
    command = [sys.executable, "-u", "-m", "plus.serve.fake_server", "0"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://\S+/v1", process.stdout.readline())[0]
            body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
            made = httpx2.post(f"{address}/chat/completions", json=body).json()
            assert made["choices"][0]["message"]["content"] == "Here is an idea that suits most people."
            lines = httpx2.post(f"{address}/chat/completions", json={**body, "stream": True}).text
            assert lines.startswith("data: ") and lines.endswith("data: [DONE]\n\n")
        finally:
            process.terminate()
