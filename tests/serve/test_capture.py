"""What `plus prompt` shows is what the client sends, and showing it opens no connection."""

from __future__ import annotations

import json
import socket

import openai
import pytest
from support.running import data_of
from support.upstream import upstream

from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.prompts import FENCE
from plus.serve.capture import outgoing
from plus.serve.client import PersonalizedOpenAI

KEY = "sk-test-0123456789abcdef"
SUMMARY = "Likes cats ❤️. Writes from ann@example.com or +49 151 23456789."


@pytest.fixture
def path(tmp_path):
    with Store(tmp_path / "p.db") as store:
        save_user(store, "ann", SUMMARY, 0)
    return tmp_path / "p.db"


def no_sockets(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_what_is_shown_is_byte_for_byte_what_is_sent(path, kind, monkeypatch):
    ask = [{"role": "system", "content": "You sell tea."}, {"role": "user", "content": "Which?"}]
    request = {"model": "m", "messages": ask} if kind == "chat" else {"model": "m", "input": "Which?"}
    with upstream() as server, Store(path) as store:
        client = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=server.url), store)
        (client.chat.completions if kind == "chat" else client.responses).create(user_id="ann", **request)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        no_sockets(monkeypatch)
        shown = outgoing(store, "ann", kind, request, KEY)
    assert shown.body == server.raw[0] and len(server.raw) == 1
    assert shown.url == server.url + ("/chat/completions" if kind == "chat" else "/responses")
    assert shown.personal_data == {"email": 1, "phone": 1} and shown.personalized


def test_the_command_shows_bytes_tokens_and_personal_data_with_sockets_blocked(path, plus_here, monkeypatch):
    no_sockets(monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    status, out, err = plus_here("prompt", "ann", "Which?", "--system", "You sell tea.", "--store", path, "--show")
    assert status == 0, err
    body = json.loads(out)
    assert body["messages"][0]["content"].startswith("You sell tea.") and FENCE[0] in body["messages"][0]["content"]
    assert f"to http://127.0.0.1:9/v1/chat/completions: {len(out.encode()):,} bytes, about" in err
    assert "nothing was sent" in err and "1 x email, 1 x phone" in err
    assert KEY not in out + err
    status, out, err = plus_here("prompt", "ann", "--store", path, "--protocol", "responses", "--json")
    facts = data_of(out)
    assert status == 0 and facts["bytes"] == len(facts["body"].encode()) and "instructions" in facts["body"]
    assert facts["personal_data"] == {"email": 1, "phone": 1}


@pytest.mark.parametrize("verb", ["prompt", "chat"])
def test_last_user_puts_the_profile_into_the_newest_turn_and_leaves_what_came_before(
    verb, path, plus_here, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    more = ("--system", "You sell tea.", "--placement", "last_user", "--store", path, "--dry-run")
    status, out, err = plus_here(verb, "ann", "Which?", *more)
    assert status == 0, err
    system, *_, asked = json.loads(out.splitlines()[0])["messages"]
    assert system == {"role": "system", "content": "You sell tea."}
    assert asked["role"] == "user" and FENCE[0] in asked["content"] and asked["content"].endswith("Which?")


def test_an_unknown_user_or_a_profile_too_long_is_one_line(path, plus_here):
    status, out, err = plus_here("prompt", "an", "--store", path)
    assert (status, out) == (4, "") and "no user 'an'; did you mean ann?" in err
    status, _, err = plus_here("prompt", "ann", "--store", path, "--max_tokens", "2")
    assert status == 0 and "no profile is in it" in err
