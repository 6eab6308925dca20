"""The promises of docs/concepts/privacy.md, a test each, named after the sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import openai
import pytest
from serve.test_networked import LOCAL, SENDS, blocked, verbs
from serve.test_proxy import KEY, proxying
from support.personalized import profile_of
from support.running import ENVIRONMENT, NO_SOCKETS, ROOT, plus
from support.upstream import upstream

from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.serve.client import PersonalizedOpenAI
from plus.serve.requests import StoreFile

__all__ = ["blocked"]
PAGE = (ROOT / "docs" / "concepts" / "privacy.md").read_text(encoding="utf-8")
ASK = [{"role": "user", "content": "Which tea?"}]
APP = {"role": "system", "content": "You sell tea."}
PROMPT = ("prompt", "ann", "Which tea?", "--system", "You sell tea.", "--show", "--model", "m")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"`[^`]*`|'s", lambda found: found[0].replace("_", " "), text).lower())


def test_each_promise_of_the_page_has_a_test_of_its_name():
    promises = [line.removeprefix("- ") for line in PAGE.splitlines() if line.startswith("- ")]
    named = [name.removeprefix("test_").split("_") for name in globals() if name.startswith("test_")]
    assert len(promises) == len(named) - 1
    for promise in promises:
        assert [name for name in named if words(promise)[: len(name)] == name], promise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("privacy")
    with Store(path / "p.db") as store:
        save_user(store, "ann", "Likes cats. Write to ann@example.org.", 0)
    return path


@pytest.fixture(scope="module")
def running(folder):
    with upstream() as server, proxying(folder, server.url) as (_, address, log):
        yield server, address, log


@pytest.fixture
def server(running):
    running[0].forget()
    return running[0]


def test_nothing_is_sent_without_a_command_that_says_so(folder, tmp_path):
    """Commands that stay here, in processes without sockets; serve/test_networked.py (slow) tries them all."""
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([NO_SOCKETS, str(ROOT)])}
    for command in ("profile list", "profile show ann", f"export --output {tmp_path / 'x.jsonl'}", "doctor"):
        assert {command.split()[0], " ".join(command.split()[:2])} & LOCAL
        line = [sys.executable, "-m", "plus", *command.split(), "--store", str(folder / "p.db")]
        done = subprocess.run(line, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and "sockets are blocked" not in done.stderr, done.stderr
    code = "import os, sys; sys.argv = ['plus', '--help']; from plus.cli.main import main\n"
    code += "try: main()\nexcept SystemExit: print(os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "1", "the Hub's library has telemetry of its own"


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_plus_prompt_ann_which_tea_system_you_sell_tea_show_prints_the_request_byte_for_byte(protocol, folder, server):
    client = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=server.url), StoreFile(folder / "p.db"))
    if protocol == "chat":
        client.chat.completions.create(user_id="ann", model="m", messages=[APP, *ASK])
    else:
        client.responses.create(user_id="ann", model="m", input="Which tea?", instructions="You sell tea.")
    done = plus(*PROMPT, "--protocol", protocol, "--store", folder / "p.db")
    assert done.returncode == 0 and done.stdout.encode() == server.raw[0]
    assert "1 x email" in done.stderr and re.search(r"to http\S+: \d+ bytes, about \d+ tokens", done.stderr), (
        done.stderr
    )


def test_plus_prompt_opens_no_connection(folder, blocked, plus_here):
    status, out, _ = plus_here(*PROMPT, "--store", folder / "p.db")
    assert status == 0 and "Likes cats." in out


def test_every_verb_that_sends_something_has_dry_run():
    options = verbs()
    assert {name for name in SENDS if "--dry-run" not in options[name]} == set()
    listed = re.search(r"has `--dry-run` with the same: (.*?)\.\n", PAGE, re.S)
    assert set(re.findall(r"`([a-z ]+)`", listed[1])) == SENDS - {"prompt"}


def test_with_openai_log_debug_the_official_client_logs_whole_requests(folder):
    """Where a program sets it, which plus does not take over."""
    environment = ENVIRONMENT | {"OPENAI_LOG": "debug"}
    line = [sys.executable, "-m", "plus", *PROMPT, "--store", str(folder / "p.db")]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "cats" in done.stdout and "cats" not in done.stderr


def test_to_the_upstream_goes_what_the_program_sends(running, server):
    headers = {"Content-Type": "application/json", "X-Plus-User": "ann", "X-Own": "1", "Cookie": "c=1"}
    body = {"model": "m", "messages": ASK, "temperature": 0.5}
    httpx2.post(f"{running[1]}/chat/completions", json=body, headers=headers)
    (sent,), (received,) = server.asked, server.headers
    assert profile_of(sent).startswith("Likes cats.")
    assert set(sent) == {*body, "safety_identifier", "prompt_cache_key"} and sent["messages"][1:] == ASK
    known = {"host", "accept", "connection", "user-agent", "content-type", "content-length", "authorization"}
    assert set(received) <= known | {"accept-encoding"} and "python-httpx" in received["user-agent"]


@pytest.mark.parametrize("path", ["chat/completions", "embeddings", "completions", "responses", "messages"])
@pytest.mark.parametrize("user", ["ann", "nobody-we-know"])
def test_a_user_s_id_leaves_as_a_hash_under_the_store_s_own_salt_or_not_at_all(path, user, running, server):
    body = {"model": "m", "messages": ASK, "input": "tea", "user": user, "metadata": {"user_id": user}}
    httpx2.post(f"{running[1]}/{path}", json=body, headers={"X-Plus-User": user})
    assert len(server.raw) == 1 and user.encode() not in re.sub(rb"ann@example.org", b"", server.raw[0])
    assert user not in json.dumps(server.headers)


def test_your_key_goes_to_the_upstream_and_to_nobody_else(running, server):
    """The upstream sets a cookie with each answer: it goes back with no later request, which may be another user's."""
    for _ in range(6):
        answer = httpx2.post(
            f"{running[1]}/embeddings", json={"input": "tea"}, headers={"Authorization": "Bearer app-1"}
        )
        assert KEY not in answer.text + str(answer.headers)
    httpx2.get(f"{running[1]}/models", headers={"Cookie": "c=1"})
    assert {received["authorization"] for received in server.headers} == {f"Bearer {KEY}"}
    assert "app-1" not in str(server.headers) and not [1 for received in server.headers if "cookie" in received]


def test_the_log_and_metrics_hold_no_text_no_user_and_no_key(running, server):
    httpx2.post(f"{running[1]}/chat/completions", json={"model": "m", "messages": ASK, "user": "ann"})
    shown = running[2].read_text() + httpx2.get(running[1].replace("/v1", "/metrics")).text
    assert "chat/completions" in shown and "requests" in shown
    for secret in (KEY, "Which tea", "cats", "ann"):
        assert secret not in shown, secret


def test_what_was_forgotten_or_edited_is_so_in_the_next_request(folder, running, server):
    def ask() -> str:
        httpx2.post(f"{running[1]}/chat/completions", json={"model": "m", "messages": ASK, "user": "tom"})
        return profile_of(server.asked[-1])

    with Store(folder / "p.db") as store:
        save_user(store, "tom", "Likes owls.", 0)
    assert ask() == "Likes owls."
    with Store(folder / "p.db") as store:
        save_user(store, "tom", "Likes newts.", 1)
    assert ask() == "Likes newts."
    assert plus("forget", "tom", "--store", folder / "p.db").returncode == 0
    assert ask() == "" and b"newts" not in server.raw[-1]


def test_without_tokens_only_programs_of_this_machine_are_answered(running, server, folder, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    status, _, err = plus_here("proxy", "--store", folder / "p.db", "--port", "0", "--host", "0.0.0.0")
    assert status == 2 and "give --tokens FILE" in err
    # A name of somebody's own that leads here (DNS rebinding), and a page of another site.
    url = f"{running[1]}/chat/completions"
    assert httpx2.post(url, json={"model": "m", "messages": ASK}, headers={"Host": "evil.example"}).status_code == 400
    page = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    assert httpx2.post(url, content=json.dumps({"model": "m", "messages": ASK}), headers=page).status_code == 415
    assert server.asked == []
    assert Path(folder / "p.db").exists()
