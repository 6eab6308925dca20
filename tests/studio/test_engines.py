"""The page on a store in PostgreSQL: read, search, change, history, what is sent, forget."""

from __future__ import annotations

from profiles.conftest import database, schemas
from support.studio_page import Page, Reads, fill

from plus.profiles.store import Store
from plus.serve.requests import StoreFile
from plus.studio.studio import Studio
from plus.studio.visit import WORDS

__all__ = ["database", "schemas"]


def test_a_store_in_postgresql_is_read_changed_searched_and_forgotten_on_the_page(schemas):
    address = schemas("page")
    fill(address)
    page = Page(Studio(StoreFile(address), reward_model=Reads()))
    with Store(address) as store:
        number = store.user("ann").number
    here = f"/u/{number}"
    assert "ann" in page.get("/users").text and "bob" in page.post("/users", q="bo").text
    assert "cats best" in page.post("/users", q="cats").text and WORDS["filter_edited"] in page.get("/users").text
    assert "6 choices that no summary has read" in page.get(f"{here}/worth").text
    assert "I saw cats." in page.get(f"{here}/why/s1").text
    assert WORDS["said_saved"] in page.post(f"{here}/save", base="1", sentence="s2", words="Says little.").text
    assert page.post(f"{here}/save", base="1", sentence="s2", words="Says more.").status_code == 409
    assert WORDS["who_operator"] in page.get(f"{here}/history").text
    assert "Says little." in page.get(f"{here}/leaves").text and "12 events" in page.get(f"{here}/data").text
    assert page.get("/store").status_code == 200 and page.get("/store/doctor").status_code == 200
    assert WORDS["said_forgotten"] in page.post(f"{here}/forget", typed="ann").text
    assert page.get(here).status_code == 410
