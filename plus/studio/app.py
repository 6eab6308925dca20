"""Application of the page: its routes, and the checks that every request passes before a handler sees it."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from plus.errors import ConflictError, ForgottenError, PlusError, UnknownUserError
from plus.studio import changing, choosing, keeping, leaving, reading, runs, telling, users
from plus.studio.access import LINK_SECONDS, Guard, RefusedError, Visitor, check_post, read_form, read_link
from plus.studio.studio import Studio
from plus.studio.visit import TEMPLATES, WORDS, Page, Visit, refusal

_log = logging.getLogger("plus.studio")
STATUS: dict[type[PlusError], int] = {ConflictError: 409, UnknownUserError: 404, ForgottenError: 410}


@dataclass(frozen=True)
class Door:
    """Route of the page. `changes`: it writes the store; `operator`: a person's link does not open it."""

    path: str
    page: Page
    method: str = "GET"
    changes: bool = False
    operator: bool = False


PERSON = "/u/{number:int}"
DOORS = (
    Door("/", reading.first),
    Door("/users", users.users, operator=True),
    Door("/users", users.search, "POST", operator=True),
    Door(PERSON, reading.summary),
    Door(f"{PERSON}/worth", reading.worth),
    Door(f"{PERSON}/why/{{sentence}}", reading.why),
    Door(f"{PERSON}/history", reading.history),
    Door(f"{PERSON}/edit/{{sentence}}", changing.edit_form),
    Door(f"{PERSON}/effect", changing.effect, "POST"),
    Door(f"{PERSON}/save", changing.save, "POST", changes=True),
    Door(f"{PERSON}/remove/{{sentence}}", changing.remove_form),
    Door(f"{PERSON}/remove/{{sentence}}", changing.remove, "POST", changes=True),
    Door(f"{PERSON}/lock/{{sentence}}", changing.lock, "POST", changes=True),
    Door(f"{PERSON}/forbid", changing.forbid, "POST", changes=True),
    Door(f"{PERSON}/allow", changing.allow, "POST", changes=True),
    Door(f"{PERSON}/pause", changing.pause, "POST", changes=True),
    Door(f"{PERSON}/restore", changing.restore, "POST", changes=True),
    Door(f"{PERSON}/tell", telling.tell, "POST", changes=True),
    Door(f"{PERSON}/accept/{{proposal}}", telling.accept, "POST", changes=True),
    Door(f"{PERSON}/leaves", leaving.leaves),
    Door(f"{PERSON}/leaves", leaving.leaves, "POST"),
    Door(f"{PERSON}/data", leaving.data),
    Door(f"{PERSON}/held.{{form}}", leaving.held),
    Door(f"{PERSON}/copy/{{form}}", leaving.copy),
    Door(f"{PERSON}/forget", leaving.forget_form),
    Door(f"{PERSON}/forget", leaving.forget, "POST", changes=True),
    Door("/receipts/{name}", leaving.receipt),
    Door("/receipts/{name}/file", leaving.receipt_file),
    Door(f"{PERSON}/choose", choosing.choose_form),
    Door(f"{PERSON}/choose/{{talk}}", choosing.choose_form),
    Door(f"{PERSON}/ask", choosing.ask, "POST", changes=True),
    Door(f"{PERSON}/choose/{{talk}}", choosing.choose, "POST", changes=True),
    Door("/runs", runs.runs, operator=True),
    Door("/runs/compare", runs.compare, operator=True),
    Door("/runs/{run}", runs.run, operator=True),
    Door("/runs/{run}/live", runs.live, operator=True),
    Door("/runs/{run}/people", runs.people, operator=True),
    Door("/store", keeping.store, operator=True),
    Door("/store/doctor", keeping.doctor, operator=True),
    Door("/store/rules", keeping.plan, "POST", operator=True),
    Door("/store/rules/add", keeping.ban, "POST", changes=True, operator=True),
    Door("/store/rules/lift", keeping.lift, "POST", changes=True, operator=True),
)


def app(studio: Studio) -> Starlette:
    """Build the ASGI application."""
    static = Path(__file__).parent / "static"
    routes = [Route(door.path, _endpoint(studio, door), methods=[door.method]) for door in DOORS]
    return Starlette(
        routes=[Route("/in", _entrance(studio)), *routes, Mount("/static", StaticFiles(directory=static))],
        middleware=[Middleware(Guard, refuse=refusal(400, WORDS["wrong_host"]))],
        exception_handlers={404: _unknown, 405: _unknown},
    )


def cookie_name(request: Request) -> str:
    """Name the cookie after the port: cookies of one machine's ports are not kept apart."""
    return f"plus-studio-{request.url.port or 80}"


def _endpoint(studio: Studio, door: Door) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        started, status = time.perf_counter(), 500
        try:
            response = await _answer(studio, door, request)
            status = response.status_code
            return response
        finally:
            # The route and not the address: a log names nobody.
            _log.info("%s %s %d %.0f ms", door.method, door.path, status, 1000 * (time.perf_counter() - started))

    return answer


async def _answer(studio: Studio, door: Door, request: Request) -> Response:
    """Check a request and let its handler answer, in a thread; every refusal is a page with one sentence."""
    try:
        visitor = _admitted(studio, request)
        visit = Visit(request, studio, visitor)
        if door.operator and visitor.number is not None:
            raise RefusedError(404, "no_page")
        if door.method == "POST":
            check_post(request)
            visit.form = await read_form(request)
            given, own = visit.form.get("form_token", ""), studio.keys.form_token(visitor)
            if not hmac.compare_digest(given.encode(), own.encode()):
                raise RefusedError(403, "old_form")
        if door.changes and studio.read_only:
            raise RefusedError(403, "read_only")
        return await to_thread.run_sync(door.page, visit)
    except RefusedError as error:
        return refusal(error.status, WORDS[error.reason])
    except PlusError as error:
        return refusal(STATUS.get(type(error), 400), str(error))
    except Exception as error:  # Its text and traceback may hold a person's words.
        _log.error("a fault of plus: %s in %s", type(error).__name__, door.path)
        return refusal(500, WORDS["fault"])


def _admitted(studio: Studio, request: Request) -> Visitor:
    """Return the visitor that the cookie says. Raises RefusedError."""
    visitor = studio.keys.visitor(request.cookies.get(cookie_name(request), ""))
    if visitor is None:
        raise RefusedError(401, "no_cookie")
    return visitor


def _entrance(studio: Studio) -> Callable[[Request], Awaitable[Response]]:
    """Trade the token of a start, or a signed link, for a cookie."""

    async def enter(request: Request) -> Response:
        token, link = request.query_params.get("token", ""), request.query_params.get("link", "")
        number, until = studio.only, 0
        try:
            if link:
                number, until = read_link(studio.profiles.salt, link)
            elif not studio.keys.opens(token):
                raise RefusedError(401, "wrong_token")
        except RefusedError as error:
            return refusal(error.status, WORDS[error.reason])
        # A page that goes on by itself, and no redirect, in which a browser holds a strict cookie back where another
        # site's link began it. It also keeps the token out of the history.
        answer = HTMLResponse(TEMPLATES.get_template("entrance.html").render(start=f"/u/{number}" if number else "/"))
        age = LINK_SECONDS if link else None
        name, cookie = cookie_name(request), studio.keys.cookie(number, until)
        answer.set_cookie(name, cookie, httponly=True, samesite="strict", max_age=age)
        return answer

    return enter


async def _unknown(request: Request, error: Exception) -> Response:
    return refusal(404, WORDS["no_page"])
