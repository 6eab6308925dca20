"""What can leave this machine: every verb is listed here, and those that send show the exact bytes first."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import judged
from support.running import ENVIRONMENT, NO_SOCKETS, ROOT
from support.upstream import upstream

from plus.cli.main import app
from plus.prompts import FENCE

KEY = "sk-test-0123456789abcdef"

# Sends texts about people somewhere: --dry-run shows the bytes.
SENDS = {
    "audit",
    "chat",
    "judge",
    "profile tell",
    "proxy",
    "pairs",
    "prompt",
    "push",
    "signals",
    "studio",
    "summarize",
    "wording",
}
# Fetches files from the Hub where one is named (a data set, a model), and sends nothing but their names.
FETCHES = {
    "benchmark",
    "data card",
    "data check",
    "data head",
    "data split",
    "evaluate",
    "gate",
    "love",
    "policy",
    "train",
}
LOCAL = {
    "backup",
    "demo",
    "doctor",
    "export",
    "forget",
    "import",
    "ingest",
    "mcp",  # To the assistant that started it, by stdin and stdout.
    "profile actions",
    "profile diff",
    "profile edit",
    "profile erase",
    "profile events",
    "profile export",
    "profile forbid",
    "profile history",
    "profile list",
    "profile lock",
    "profile pause",
    "profile restore",
    "profile resume",
    "profile rules",
    "profile score",
    "profile show",
    "profile why",
    "restore",
    "store copy",  # To the server that its address names, as every verb that takes --store.
}


def verbs(typer_app=app, prefix: str = "") -> dict[str, set[str]]:
    """Every verb's name and its options."""
    from typer.main import get_command

    found: dict[str, set[str]] = {}

    def walk(command, name):
        if hasattr(command, "commands"):
            for child in command.commands.values():
                walk(child, f"{name} {child.name}".strip())
        else:
            found[name] = {option for parameter in command.params for option in parameter.opts}

    walk(get_command(typer_app), prefix)
    return found


def test_every_verb_is_known_as_one_that_sends_fetches_or_stays_here():
    assert set(verbs()) == SENDS | FETCHES | LOCAL


def test_whatever_sends_has_a_dry_run():
    options = verbs()
    assert {name for name in SENDS if "--dry-run" not in options[name]} == set()


@pytest.fixture
def blocked(monkeypatch):
    """No socket of this process gets anywhere."""

    def refuse(*arguments, **options):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


# The tests of the commands that stay on this machine, and of those that only fetch what is named.
OFFLINE = (
    "cli/test_profile.py",
    "recipes/test_summaries.py",
    "profiles/test_export.py",
    "profiles/test_forget.py",
    "profiles/test_doctor.py",
    "feedback/test_ingest.py",
    "signals/test_find.py",
    "signals/test_head.py",
    "signals/test_find_pairs.py",
    "cli/test_data.py",
    "serve/test_capture.py::test_the_command_shows_bytes_tokens_and_personal_data_with_sockets_blocked",
    "cli/test_main.py",
    "serve/test_mcp_server.py",
    "end_to_end/test_demo.py",
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_with_sockets_blocked_every_command_that_is_not_networked_passes_its_tests():
    """Their own tests again, in processes (and theirs) that cannot open a connection. The demo trains, evaluates, and
    reads a run; `train` and `evaluate` are met there, `benchmark` in its own tests, which download nothing either."""
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([NO_SOCKETS, str(ROOT)])}
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    tried = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "sockets are blocked" in tried.stderr
    tests = [str(ROOT / "tests" / name) for name in OFFLINE]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=900", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4000:]


def bodies(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def checked(result, requests: int | None = None) -> list[dict]:
    status, out, err = result
    assert status == 0, err
    assert "nothing was sent" in err and "personal data by its shape" in err and "tokens" in err
    assert KEY not in out + err
    if requests is not None:
        assert len(bodies(out)) == requests and f"{requests} requests" in err
    return bodies(out)


def test_summarize_shows_the_bytes_that_it_sends(tmp_path, plus_here, monkeypatch):
    file = tmp_path / "choices.jsonl"
    rows = [
        {"user_id": user, "prompt": "Hi ann@example.com", "chosen": "a", "rejected": "b"} for user in ("ann", "bob")
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with upstream() as server:
        shown = plus_here("summarize", server.url, file, "--model", "m", "--dry-run")
        assert server.raw == []
        assert plus_here("summarize", server.url, file, "--model", "m")[0] == 0
    checked(shown, 2)
    assert sorted(shown[1].encode().splitlines()) == sorted(server.raw), "byte for byte"
    assert "2 x email" in shown[2]
    status, out, err = plus_here("summarize", tmp_path, file, "--dry-run")
    assert (status, out) == (2, "") and "nothing would be sent" in err


@pytest.mark.slow  # Ten seconds: it loads whatever the audit may need.
def test_audit_shows_what_its_judge_would_be_asked(plus_here, blocked, tmp_path):
    found = plus_here(
        "audit", "--judge_model", "j", "--base_url", "http://127.0.0.1:9/v1", "--dataset_name", "pets",
        "--max_examples", "4", "--dry-run",
    )  # fmt: skip
    assert all(body["model"] == "j" for body in checked(found)) and len(bodies(found[1])) >= 6


@pytest.fixture
def judged_store(tmp_path):
    return judged.judged_store(tmp_path)


def test_judge_and_chat_show_theirs(judged_store, plus_here, blocked, tmp_path):
    url = "http://127.0.0.1:9/v1"
    asked = ["judge", "--store", judged_store, "--judge_model", "j", "--base_url", url, "--output_dir", tmp_path / "o"]
    checked(plus_here(*asked, "--max_users", "2", "--dry-run"), 4 * 20)
    two = checked(plus_here("chat", "u0", "Hi", "--store", judged_store, "--base_url", url, "--dry-run"), 2)
    assert [FENCE[0] in json.dumps(body) for body in two] == [True, False]


def test_proxy_shows_what_a_request_becomes(judged_store, plus_here, blocked, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def run(body: str):
        stdin = io.TextIOWrapper(io.BytesIO(body.encode()))
        monkeypatch.setattr("sys.stdin", stdin)
        return plus_here("proxy", "--upstream", "https://api.example.com/v1", "--store", judged_store, "--dry-run")

    ask = {"model": "m", "messages": [{"role": "user", "content": "Hi, I am +49 151 23456789."}], "user": "u0"}
    found = run(json.dumps(ask))
    (sent,) = checked(found, 1)
    assert FENCE[0] in sent["messages"][0]["content"] and "user" not in sent and len(sent["safety_identifier"]) == 32
    assert "to https://api.example.com/v1/chat/completions" in found[2] and "1 x phone" in found[2]
    (sent,) = checked(run(json.dumps({"model": "m", "input": "Hi", "safety_identifier": "u1"})), 1)
    assert FENCE[0] in sent["instructions"]
    status, out, err = run("no json")
    assert (status, out) == (2, "") and "the request is no JSON" in err


def test_push_lists_the_files_and_the_personal_data_in_them(tmp_path, plus_here, blocked, base, reward_model):
    run = tmp_path / "run"
    base.model.save_pretrained(run / "summarizer")
    base.tokenizer.save_pretrained(run / "summarizer")
    reward_model.save_pretrained(run / "reward_model")
    for name, text in (
        ("config.json", '{"dataset_name": "pets"}'),
        ("README.md", "Ask ann@example.com."),
        ("report.json", "{}"),
        ("report.md", "x"),
        ("metrics.jsonl", ""),
    ):
        Path(run, name).write_text(text)
    status, out, err = plus_here("push", run, "me/x", "--dry-run")
    assert status == 0, err
    assert "reward_model/model.safetensors" in out and "1 x email" in err and "nothing was sent" in err


@pytest.mark.parametrize("verb", ["chat", "proxy"])
def test_the_official_clients_own_log_stays_silent(verb, judged_store, plus_here, monkeypatch):
    """OPENAI_LOG=debug makes the official client write whole requests; not in plus's processes."""
    with upstream() as server:
        if verb == "chat":
            command = ["chat", "u0", "my secret question", "--base_url", server.url]
        else:
            command = ["proxy", "--upstream", server.url, "--dry-run"]
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "my secret question"}], "user": "u0"})
        done = subprocess.run(
            [sys.executable, "-m", "plus", *command, "--store", str(judged_store)],
            input=body if verb == "proxy" else "",
            env=ENVIRONMENT | {"OPENAI_LOG": "debug", "OPENAI_API_KEY": KEY},
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert "my secret question" not in done.stderr and "likes" not in done.stderr and KEY not in done.stderr
