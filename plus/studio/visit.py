"""Visit: one request of an admitted visitor, with the store, the person it is about, and the ways to answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plus.resources import thresholds
from plus.studio.access import RefusedError, Visitor

if TYPE_CHECKING:
    from plus.profiles.store import Store
    from plus.studio.studio import Studio

WORDS: Mapping[str, str] = thresholds("studio/words")
# Pages of a person, in order: name -> path after the person's own.
TABS = (
    ("summary", ""), ("history", "/history"), ("leaves", "/leaves"), ("choose", "/choose"), ("data", "/data"),
    ("forget", "/forget"),
)  # fmt: skip
FIRST = 31_536_000  # seconds: a time before 1971 is an order and no date
_SIGNS = {**{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}, 0x7F: 0x2421}


@dataclass(frozen=True)
class Person:
    """Person whom a page is about: the store's number of them, and their id."""

    number: int
    user_id: str


@dataclass
class Visit:
    """One request. `form`: the fields of a POST, else empty."""

    request: Request
    studio: Studio
    visitor: Visitor
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The store, by this thread's connection; its log of actions says who acts."""
        store = self.studio.profiles.store
        store.who = WORDS["who_operator" if self.visitor.number is None else "who_person"]
        return store

    @property
    def is_part(self) -> bool:
        """True where htmx asks for a part of the page to put in its place."""
        return self.request.headers.get("hx-request-type") == "partial"

    @property
    def writes(self) -> bool:
        """True where this visit may change the store."""
        return not self.studio.read_only and self.store.writable

    def person(self) -> Person:
        """Return the person of the address. Raises RefusedError where they are gone, or not for this visitor to see."""
        number = int(self.request.path_params["number"])
        user_id = self.store.user_id(number) if self.visitor.number in (None, number) else None
        if user_id is None:
            raise RefusedError(410, "nobody")
        return Person(number, user_id)

    def query(self, name: str) -> str:
        """Return a field of the address, or ""."""
        return self.request.query_params.get(name, "")

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """Render a template."""
        said = WORDS.get(f"said_{self.query('said')}", "")
        shown = {
            "visitor": self.visitor, "writes": self.writes, "said": said, "studio": self.studio,
            "form_token": self.studio.keys.form_token(self.visitor), **values,
        }  # fmt: skip
        return HTMLResponse(TEMPLATES.get_template(template).render(shown), status)

    def back(self, path: str, said: str = "", anchor: str = "") -> Response:
        """Send the browser to a page of ours, which says what was done."""
        url = URL(path).include_query_params(said=said) if said else URL(path)
        return RedirectResponse(f"{url}{f'#{anchor}' if anchor else ''}", 303)


Page = Callable[[Visit], Response]


def environment() -> Environment:
    """Make the environment of our templates: every text is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=PackageLoader("plus.studio"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(t=WORDS, static_version=_static_version(), tabs=TABS, place="")
    made.filters.update(
        day=day, moment=moment, shown=shown, count=lambda number: f"{number:,}",
        flag_words=lambda flag: WORDS[f"flag_{flag}"], right_of=lambda score: f"{score.accuracy * score.choices:g}",
        event_words=event_words, content_words=content_words,
    )  # fmt: skip
    return made


def shown(text: str) -> str:
    """Write control characters as signs: a browser would leave them out."""
    return text.translate(_SIGNS)


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """Split a difference into its lines, without heads: ("+", "-" or " ", the words)."""
    return [(line[:1], line[1:]) for line in diff.splitlines()[2:] if line[:2] != "@@"]


def event_words(content: Any) -> str:
    """Write an event that is no choice and no reaction as text: a message, or turns."""
    return content if isinstance(content, str) else "\n".join(f"{turn.role}: {turn.content}" for turn in content)


def content_words(content: Any) -> str:
    """Write an event's content, as it is stored, as text."""
    if isinstance(content, dict):
        return "\n".join(f"{WORDS[f'field_{key}']}: {value}" for key, value in content.items() if key != "earlier")
    return content if isinstance(content, str) else "\n".join(": ".join(map(str, turn)) for turn in content)


def day(seconds: float | None) -> str:
    """Write a moment as a day, "26 Nov 2026"."""
    if seconds is None or seconds < FIRST:
        return WORDS["no_date"]
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %b %Y")


def moment(seconds: float | None) -> str:
    """Write a moment with its minute, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %b %Y, %H:%M UTC") if seconds else WORDS["no_date"]


def refusal(status: int, sentence: str) -> Response:
    """Render a page that says in one sentence what was refused, and what to do."""
    return HTMLResponse(TEMPLATES.get_template("refused.html").render(sentence=sentence), status)


def _static_version() -> int:
    """Number that changes with our static files, for the browser's cache."""
    return int(max(path.stat().st_mtime for path in (Path(__file__).parent / "static").iterdir()))


TEMPLATES = environment()
