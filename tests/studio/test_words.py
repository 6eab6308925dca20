"""Words of the page: all of them in words.toml, every one used; the size of the room; what is shipped with it."""

from __future__ import annotations

import hashlib
import re

import pytest
from support.running import ROOT

from plus.studio.visit import WORDS

ROOM = ROOT / "plus" / "studio"
TEMPLATES = sorted((ROOM / "templates").glob("*.html"))
SOURCES = [*sorted(ROOM.glob("*.py")), ROOT / "plus" / "cli" / "studio.py"]


def own_words(template: str) -> list[str]:
    """Words that stand in a template itself, outside of tags, expressions and comments."""
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", template, flags=re.S)
    text = re.sub(r"<(script|style)[^>]*>.*?</\1>|<[^>]*>|&\w+;", " ", text, flags=re.S)
    return [word for word in re.findall(r"[A-Za-z]{2,}", text) if word not in ("studio",)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_words_of_its_own(path):
    assert own_words(path.read_text()) == []


def test_words_that_a_template_had_would_be_found():
    assert own_words('<p class="a">{{ t.save }} Save {% if x %}now{% endif %}</p>') == ["Save", "now"]


def test_every_word_is_used_and_every_used_word_is_there():
    code = "\n".join(path.read_text() for path in [*TEMPLATES, *SOURCES, ROOM / "static" / "keys.js"])
    named = set(re.findall(r"\bt\.(\w+)", code)) - {"get"} | set(re.findall(r"\bWORDS\[\"(\w+)\"\]", code))
    assert named - set(WORDS) == set()
    # Words whose names are put together at run time begin with one of these.
    begun = re.findall(r"[\"'](\w+_)(?:[\"'] ~|\{)", code)
    unused = {word for word in set(WORDS) - named if not word.startswith(tuple(begun))}
    assert {word for word in unused if f'"{word}"' not in code} == set()


def test_the_room_stays_small():
    lines = sum(len(path.read_text().splitlines()) for path in [*TEMPLATES, *SOURCES])
    assert lines <= 2500


def test_the_vendored_file_is_htmx_as_it_was_published_with_its_licence():
    static = ROOM / "static"
    digest = hashlib.sha256((static / "htmx.min.js").read_bytes()).hexdigest()
    assert digest == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
    assert "Zero-Clause BSD" in (static / "htmx.LICENSE").read_text()
    text = (static / "style.css").read_text() + (static / "keys.js").read_text()
    assert not re.search(r"@import|url\(|https?://", text), "nothing from elsewhere"
