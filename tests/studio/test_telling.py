"""Edits told in words, and rules for all: proposed first, written after a yes."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from support.studio_page import Page, Reads

from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.serve.requests import StoreFile
from plus.studio.studio import Served, Studio
from plus.studio.visit import WORDS

NEW, FRESH = "The user likes dogs best.", "<b>Lives</b> in Oslo."
EDIT = {"replace": [{"id": "s1", "text": NEW}], "add": [FRESH], "remove": ["s3"]}


@pytest.fixture
def told(path, chat_server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    url, asked = chat_server(lambda question: json.dumps(EDIT))
    return Page(Studio(StoreFile(path), reward_model=Reads(), served=Served(url, "m"))), asked


def test_an_edit_in_words_is_shown_with_its_effect_and_written_after_a_yes(told, path):
    page, asked = told
    assert WORDS["tell_title"] in page.get("/u/1").text
    shown = page.post("/u/1/tell", words="I moved to Oslo").text
    assert "I moved to Oslo" in json.dumps(asked) and '"ann"' not in json.dumps(asked)
    for text in ("<del", "They saw hens.", NEW, "&lt;b&gt;Lives&lt;/b&gt; in Oslo.", WORDS["effect_title"]):
        assert text in shown
    with Store(path) as store:
        assert store.user("ann").newest == 1
    where = re.search(r'action="(/u/1/accept/\w+)"', shown)[1]
    assert page.post(where.replace("/u/1/", "/u/2/")).status_code == 404, "nobody else's"
    assert WORDS["said_told"] in page.post(where).text
    with Store(path) as store:
        assert store.current("ann").text == "The user likes dogs best. The user is brief. <b>Lives</b> in Oslo."
    assert page.post(where).status_code == 404


def test_a_proposal_for_an_older_version_is_refused(told, path):
    page, _ = told
    where = re.search(r'action="(/u/1/accept/\w+)"', page.post("/u/1/tell", words="I moved").text)[1]
    with Store(path) as store:
        save_user(store, "ann", "Somebody else.", 1)
    assert page.post(where).status_code == 409


def test_a_dry_run_shows_the_request_and_without_a_model_it_is_not_offered(path, chat_server):
    url, asked = chat_server(lambda question: "{}")
    page = Page(Studio(StoreFile(path), served=Served(url, "m", dry_run=True)))
    shown = page.post("/u/1/tell", words="I moved").text
    body = json.loads(unescape(re.search(r"<pre[^>]*>(.*?)</pre>", shown, re.S)[1]))
    assert "I moved" in json.dumps(body) and asked == []
    page = Page(Studio(StoreFile(path)))
    assert WORDS["tell_title"] not in page.get("/u/1").text
    assert WORDS["no_model"] in page.post("/u/1/tell", words="x").text


def test_a_rule_for_all_is_counted_first_then_written_then_lifted(page, path):
    shown = page.post("/store/rules", words="cats").text
    assert "1 sentences of 1 people would be taken out" in shown
    with Store(path) as store:
        assert store.bans() == () and "cats" in store.current("ann").text
    assert WORDS["said_ruled"] in page.post("/store/rules/add", words="cats").text
    with Store(path) as store:
        assert "cats" not in store.current("ann").text and list(store.bans()) == ["cats"]
    assert WORDS["said_lifted"] in page.post("/store/rules/lift", words="cats").text
    assert WORDS["bans_none"] in page.get("/store").text
    assert page.post("/store/rules", words=" ").status_code == 400
