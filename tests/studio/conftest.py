"""A store of three people, and the page on it, spoken to by starlette's client."""

from __future__ import annotations

import pytest
from support.studio_page import Page, Reads, fill

from plus.serve.requests import StoreFile
from plus.studio.studio import Studio


@pytest.fixture
def path(tmp_path):
    fill(tmp_path / "p.db")
    return tmp_path / "p.db"


@pytest.fixture
def studio(path):
    return Studio(StoreFile(path), reward_model=Reads())


@pytest.fixture
def page(studio):
    return Page(studio)
