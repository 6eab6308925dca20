"""Who may open the page: tokens, links, hosts, forms of other sites; every route, refused in a sentence."""

from __future__ import annotations

import logging
import re
import time

import pytest
from starlette.testclient import TestClient
from support.studio_page import BASE, Page, fill

from plus.profiles.forget import forget_user
from plus.profiles.store import Store
from plus.serve.requests import StoreFile
from plus.studio.access import HEADERS, RefusedError, link_for, read_link
from plus.studio.app import DOORS, app
from plus.studio.studio import Studio
from plus.studio.visit import WORDS


def address(door) -> str:
    return re.sub(r"\{(\w+)(:int)?\}", lambda found: "1" if found[1] == "number" else "s1", door.path)


def sentence(answer) -> str:
    return re.search(r"<p>(.*?)</p>", answer.text)[1].replace("&#39;", "'")


def state(page):
    with Store(page.studio.profiles.path) as store:
        return store.user("ann"), store.rules("ann"), store.history("ann")


DOOR_IDS = [f"{door.method} {door.path}" for door in DOORS]


@pytest.mark.parametrize("door", DOORS, ids=DOOR_IDS)
def test_every_route_needs_the_cookie(studio, door):
    answer = Page(studio, enter=False).client.request(door.method, address(door))
    assert (answer.status_code, sentence(answer)) == (401, WORDS["no_cookie"])


@pytest.mark.parametrize("door", DOORS, ids=DOOR_IDS)
def test_every_route_answers_to_loopback_names_only(page, door):
    answer = page.client.request(door.method, address(door), headers={"Host": "evil.example"})
    assert (answer.status_code, sentence(answer)) == (400, WORDS["wrong_host"])


@pytest.mark.parametrize("door", [door for door in DOORS if door.method == "POST"], ids=lambda door: door.path)
def test_every_form_needs_our_site_and_this_visitor_s_token(page, door):
    before = state(page)
    where, good = address(door), {"form_token": page.token()}
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answer = page.client.post(where, data=good, headers=headers)
        assert (answer.status_code, sentence(answer)) == (403, WORDS["cross_site"])
    for data in ({}, {"form_token": "x"}):
        answer = page.client.post(where, data=data)
        assert (answer.status_code, sentence(answer)) == (403, WORDS["old_form"])
    assert page.client.get(where).status_code in (200, 303, 404, 405), "no change by GET"
    assert state(page) == before


@pytest.mark.parametrize("door", [door for door in DOORS if door.changes], ids=lambda door: door.path)
def test_read_only_refuses_every_change(studio, door):
    studio.read_only = True
    answer = Page(studio).post(address(door), base="1", words="x", how="text", on="1", version="1")
    assert (answer.status_code, sentence(answer)) == (403, WORDS["read_only"])


def test_read_only_shows_no_button_that_changes(studio):
    studio.read_only = True
    shown = Page(studio).get("/u/1").text
    assert "The user likes cats best." in shown and 'action="/u/1' not in shown and WORDS["read_only_mark"] in shown


def test_a_wrong_token_and_one_of_another_start_open_nothing(studio):
    page = Page(studio, enter=False)
    other = Studio(studio.profiles)
    for token in ("", "x", other.keys.token):
        answer = page.enter(f"token={token}")
        assert (answer.status_code, sentence(answer)) == (401, WORDS["wrong_token"])
        assert "set-cookie" not in answer.headers
    # A cookie of another start is none, and neither is one that was written by hand.
    for cookie in (other.keys.cookie(None), "0.0.aa.bb", "", "ü"):
        assert studio.keys.visitor(cookie) is None


def test_the_token_leaves_the_address_and_the_cookie_is_strict(studio):
    answer = Page(studio, enter=False).enter(f"token={studio.keys.token}")
    assert studio.keys.token not in answer.text and 'content="0;url=/"' in answer.text
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and cookie.startswith("plus-studio-8000=")


def test_every_answer_carries_the_headers(page):
    for where in ("/u/1", "/nowhere", "/u/99", "/static/style.css"):
        headers = page.get(where).headers
        assert {name: headers[name] for name in HEADERS if name != "Cache-Control"} == {
            name: value for name, value in HEADERS.items() if name != "Cache-Control"
        }
    assert page.get("/u/1").headers["cache-control"] == "no-store"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_pages_hold_no_script_and_no_style_of_their_own(page):
    for where in ("/users", "/u/1", "/u/1/why/s1", "/u/1/edit/s1", "/u/1/history"):
        shown = page.get(where).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*src=\"/static/)", shown), where
        assert not re.search(r"(src|href)=\"(https?:)?//", shown), where


def test_a_link_shows_one_person_and_dies_with_its_time_and_with_a_forget(path, studio):
    with Store(path) as store:
        salt, number = store.salt, store.user("ann").number
    page = Page(studio, enter=False)
    assert page.enter(f"link={link_for(salt, number, time.time() + 60)}").status_code == 200
    assert page.get(f"/u/{number}").status_code == 200
    # Nobody else, and nothing of the operator's.
    assert page.get("/u/2").status_code == 410 and page.get("/users").status_code == 404
    assert "bob" not in page.get("/", follow_redirects=True).text
    with Store(path) as store:
        forget_user(store, "ann")
        fill(path.with_name("other.db"))
    assert page.get(f"/u/{number}").status_code == 410
    # An old link, one of another store, and one that was changed.
    with Store(path.with_name("other.db")) as store:
        other = link_for(store.salt, number, time.time() + 60)
    old, good = link_for(salt, number, time.time() - 1), link_for(salt, 2, time.time() + 60)
    for link, reason in ((old, "old_link"), (other, "wrong_link"), (f"1{good}", "wrong_link"), ("x", "wrong_link")):
        answer = Page(studio, enter=False).enter(f"link={link}")
        assert (answer.status_code, sentence(answer)) == (401, WORDS[reason])
        with pytest.raises(RefusedError):
            read_link(salt, link)


def test_with_one_user_the_token_shows_that_one_alone(path):
    page = Page(Studio(StoreFile(path), only=2))
    assert "Likes tea." in page.get("/", follow_redirects=True).text
    assert page.get("/u/1").status_code == 410 and page.get("/users").status_code == 404


def test_a_form_that_is_too_large_or_none_is_refused(page):
    assert page.post("/u/1/save", base="1", sentence="s1", words="x" * 300_000).status_code == 413
    kind = {"content-type": "application/json"}
    assert page.client.post("/u/1/save", content="{}", headers=kind).status_code == 415
    assert page.post("/u/1/save", base="one", words="x").status_code == 400
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert page.client.post("/u/1/save", content=b"a=%ff", headers=kind).status_code == 400
    with Store(page.studio.profiles.path) as store:
        assert store.user("ann").newest == 1


def test_the_log_names_routes_and_nobody(page, caplog):
    caplog.set_level(logging.INFO, logger="plus.studio")
    page.get("/u/1")
    page.post("/u/1/save", base="1", sentence="s2", words="Says little.")
    page.post("/users", q="ann")
    assert "POST /u/{number:int}/save 303" in caplog.text
    for secret in ("ann", "little", "brief", page.studio.keys.token):
        assert secret not in caplog.text


def test_a_fault_is_a_page_without_its_text(studio, monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("ann likes cats")

    monkeypatch.setattr(StoreFile, "store", property(broken))
    client = TestClient(app(studio), base_url=BASE)
    client.get(f"/in?token={studio.keys.token}")
    answer = client.get("/u/1")
    assert (answer.status_code, sentence(answer)) == (500, WORDS["fault"])
    assert "RuntimeError" in caplog.text and "cats" not in caplog.text
