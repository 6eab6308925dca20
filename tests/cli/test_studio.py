"""`plus studio`: refused in one line before a socket opens; the printed address opens the page, and Ctrl-C ends it."""

from __future__ import annotations

import sqlite3

import httpx2
import pytest
from support.browser import studio
from support.studio_page import fill

from plus.profiles.schema import VERSION


@pytest.fixture
def path(tmp_path):
    fill(tmp_path / "p.db")
    return tmp_path / "p.db"


def test_a_store_of_a_newer_plus_is_refused_in_one_line(plus_here, path):
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    status, out, err = plus_here("studio", "--store", path)
    assert status == 2 and out == "" and len(err.splitlines()) == 1 and "newer" in err


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--user", "anna"), 4, "did you mean ann"), (("--store", "nowhere.db"), 2, "there is no profile store"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_remedy(plus_here, path, options, status, said):
    found, _, err = plus_here("studio", "--store", path, *options)
    assert found == status and said in err


def test_a_port_in_use_is_one_line(plus_here, path):
    with studio("--store", path) as address:
        port = address.partition("/in")[0].rpartition(":")[2]
        status, _, err = plus_here("studio", "--store", path, "--port", port)
    assert status == 2 and "give another --port" in err


def test_the_printed_address_opens_the_page_once_it_is_a_cookie(path):
    with studio("--store", path, "--user", "bob", "--read_only") as address:
        start = address.partition("/in")[0]
        assert start.startswith("http://127.0.0.1:")
        with httpx2.Client(base_url=start, follow_redirects=True) as client:
            assert client.get("/").status_code == 401
            client.get(address)
            shown = client.get("/")
            assert "Likes tea." in shown.text and "read only" in shown.text and client.get("/u/1").status_code == 410
        # A name of somebody's own that leads here (DNS rebinding).
        assert httpx2.get(f"{start}/", headers={"Host": "evil.example"}).status_code == 400
