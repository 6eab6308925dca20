"""OpenAI-compatible server between any program with a base URL and the model it talks to.

The user stands in a header (`X-Plus-User`, or others by name) or in the request's `safety_identifier`, `user` or
`metadata.user_id`, which leave as hashes on every path. Chat Completions, Responses and Anthropic's Messages are
personalized; the other routes of a model's server are handed on. Requests that name nobody are forwarded byte for byte.
Answers are handed on as they come. The log has a line a request: route, app, status, milliseconds; no text, no user, no
key; and at the end the number of requests by outcome (Personalizer.counts). plus/serve/listen.py runs it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import httpx2
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from plus.errors import ProfileError, UnknownUserError
from plus.serve.endpoint import LOOPBACK
from plus.serve.incoming import (
    COPIES,
    SENT_COPIES,
    Access,
    Account,
    Admission,
    Budget,
    parsed,
    read_body,
    user_of,
    without_id,
    written,
)
from plus.serve.metrics import Metrics
from plus.serve.protocols import REFUSED, Kind, error_body
from plus.serve.relay import Relay, kept_headers, sent, whole
from plus.serve.requests import Attempt, Personalizer

# Routes whose requests are personalized; the others of Access.routes are handed on.
KINDS: Mapping[str, Kind] = {
    "chat/completions": "chat",
    "responses": "responses",
    "responses/input_tokens": "responses",
    "messages": "messages",
    "messages/count_tokens": "messages",
}
METHODS = ["GET", "POST", "DELETE"]
UNKNOWN = "there is no summary of this user, or no user is named; write one, or start with --on_unknown plain"
CLIENTS = 4  # in turn: each looks at all of its idle connections at every request, which was a tenth of the time
LOOK_SECONDS = 2.0  # between two looks at whether the store was written
# What passes from the app: keys, cookies and hop-by-hop headers do not.
_SENT = re.compile(rb"accept|content-type|idempotency-key|openai-.*|anthropic-.*")
# How an app says its token, and so how the upstream is told the key: OpenAI's, Azure's, Anthropic's.
_KEYS = ("api-key", "x-api-key")
_FORM_USER = re.compile(rb'name="?user"?[;\r\n]', re.IGNORECASE)
_log = logging.getLogger("plus.proxy")


class Proxy:
    """Proxy that forwards to `upstream` (an address that ends in /v1) with `key`.

    `transport` takes the place of the network's (plus.serve.capture).
    """

    def __init__(
        self, personalizer: Personalizer, upstream: str, key: str, access: Access, timeout: float = 600.0,
        transport: httpx2.AsyncBaseTransport | None = None, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self.personalizer, self.upstream, self.key, self.access = personalizer, upstream.rstrip("/"), key, access
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100 // CLIENTS)
        self._one_at_a_time, self._budget = CapacityLimiter(1), Budget()
        self._names, self._said_unnamed, self._metrics = access.header_names, False, metrics or Metrics()
        # A proxy of the environment's is never told what goes to this machine itself.
        self._clients = [
            httpx2.AsyncClient(
                timeout=httpx2.Timeout(timeout, connect=10.0), limits=limits, transport=transport,
                trust_env=urlsplit(upstream).hostname not in LOOPBACK,
                # The upstream's cookies belong to one answer: none is kept, or it would go with another user's request.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
            for _ in range(CLIENTS)
        ]  # fmt: skip
        self._turns = cycle(self._clients)

    def app(self) -> Starlette:
        """Build the ASGI application.

        Without tokens it answers to loopback names only, so that no web page reaches it under a name of its own
        (DNS rebinding).
        """
        hosts = ["*"] if self.access.tokens else [*LOOPBACK, "[::1]"]
        middleware = [Middleware(Admission, most=self.access.max_requests)]
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False))
        if self.access.origins:
            cors = Middleware(
                CORSMiddleware, allow_origins=list(self.access.origins), allow_methods=METHODS, allow_headers=["*"],
                expose_headers=["*"],
            )  # fmt: skip
            middleware.append(cors)
        return Starlette(
            routes=[
                Route("/v1/{path:path}", self._logged, methods=METHODS),
                Route("/healthz", _healthz),
                Route("/metrics", self._counted),
            ],
            middleware=middleware,
            exception_handlers={HTTPException: _refused},
            lifespan=self._living,
        )

    async def _logged(self, request: Request) -> Response:
        """Answer an app that may use the proxy, and log its line."""
        started, status, app = time.perf_counter(), 500, "-"
        path = request.path_params["path"]
        try:
            app = self._admit(request)
            response = await self._answer(request, path, app)
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        except Exception as error:
            _log.error("a fault of plus: %s", type(error).__name__)  # Its text and traceback may hold a request.
            raise HTTPException(500, "a fault of plus proxy; its log names it") from None
        finally:
            taken = time.perf_counter() - started
            self._metrics.count(status, taken, self.personalizer.counts)
            shown = path if path in KINDS else path.partition("/")[0] if self._is_served(path) else "-"
            _log.info("%s /v1/%s app=%s status=%d first_byte_ms=%.0f", request.method, shown, app, status, 1000 * taken)

    async def _counted(self, request: Request) -> Response:
        self._admit(request)
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    def _admit(self, request: Request) -> str:
        """Return the name of the app with this token. Raises HTTPException 401."""
        headers = request.headers
        token = next((headers[name] for name in _KEYS if name in headers), None)
        token = token or headers.get("authorization", "").removeprefix("Bearer ")
        if (name := self.access.app_of(token)) is None:
            raise HTTPException(401, "this token is not among the proxy's; give the app's own as its API key")
        return name

    def _is_served(self, path: str) -> bool:
        words = path.split("/")
        return words[0] in self.access.routes and not {"..", "."} & set(words)

    async def _answer(self, request: Request, path: str, app: str) -> Response:
        """Answer a request about a user, or hand it on. Raises HTTPException."""
        if not self._is_served(path):
            served = ", ".join(sorted(self.access.routes))
            raise HTTPException(404, f"the proxy serves no such path; it serves /v1/ and one of {served}")
        kind = KINDS.get(path) if request.method == "POST" else None
        if request.method != "POST":
            return await self._forward(request, b"")
        with Account(self._budget) as account:
            is_json = self._is_json(request, kind)
            raw = await read_body(request, account, is_json)
            if not is_json:
                self._check_form(request, raw)
                return await self._forward(request, raw)
            given = parsed(raw)
            account.hold(SENT_COPIES * account.held // COPIES)
            return await self._personal(request, kind, raw, given, app)

    async def _personal(
        self, request: Request, kind: Kind | None, raw: bytes, given: dict[str, Any], app: str
    ) -> Response:
        user_id = user_of(request.scope["headers"], given, self._names)
        allowed = self.access.users.get(app)
        if user_id is not None and allowed is not None and user_id not in allowed:
            raise HTTPException(403, "this app's token may not name this user")
        try:
            about = without_id(given, user_id, lambda value: self.personalizer.hashed("safety_identifier", value))
            attempt = await self._attempt(kind, user_id, about) if kind else None
        except UnknownUserError:
            raise HTTPException(404, UNKNOWN) from None
        except ProfileError:
            raise HTTPException(503, "the profile store cannot be read now; plus doctor says why") from None
        if attempt is not None and attempt.changed:
            return await self._forward(request, raw, attempt)
        # Byte for byte where no id stood in it.
        return await self._forward(request, raw if about is given else written(about), kind=kind)

    async def _attempt(self, kind: Kind, user_id: str | None, about: Mapping[str, Any]) -> Attempt:
        if user_id is None and not self._said_unnamed:
            self._said_unnamed = True
            _log.warning("a request names no user: no X-Plus-User, --user_header, safety_identifier, user or metadata")
        elif user_id is not None:  # safety_identifier says it.
            about = {name: value for name, value in about.items() if name != "user"}
        if self.personalizer.gate is None:
            return self.personalizer.attempt(kind, user_id, about)
        # A sentence model takes milliseconds, in which the others shall be served.
        return await to_thread.run_sync(self.personalizer.attempt, kind, user_id, about, limiter=self._one_at_a_time)

    def _is_json(self, request: Request, kind: Kind | None) -> bool:
        """Whether the body is JSON. Raises HTTPException 415 where it must be and is not."""
        # Pages of other sites can post forms and plain text without asking, JSON they cannot.
        is_json = request.headers.get("content-type", "").startswith("application/json")
        if not is_json and (kind or "origin" in request.headers):
            raise HTTPException(415, "the request must be application/json")
        return is_json

    def _check_form(self, request: Request, raw: bytes) -> None:
        """Refuse a form with a user's name in it, which would leave as it is."""
        if _FORM_USER.search(raw):
            raise HTTPException(400, "the form's field user would leave as it is; leave it out")

    async def _forward(
        self, request: Request, raw: bytes, attempt: Attempt | None = None, kind: Kind | None = None
    ) -> Response:
        """Forward a request, again without the parts that the upstream refuses. Raises HTTPException 502 or 504."""
        # The target as it was written: an encoded slash in a model's name stays one.
        target = request.scope["raw_path"].removeprefix(b"/v1").decode("ascii")
        query = request.scope["query_string"].decode("ascii")
        url, headers = f"{self.upstream}{target}{f'?{query}' if query else ''}", self._headers(request)
        kind = attempt.kind if attempt else kind
        client = next(self._turns)
        while True:
            content = written(attempt.sent) if attempt else raw
            asked = client.build_request(request.method, url, content=content, headers=headers)
            answer = await sent(client, asked, request.receive)
            if attempt is None or answer.status_code not in REFUSED:
                break
            said = (await whole(answer)).decode(errors="replace")
            if (following := attempt.after_refusal(answer.status_code, said)) is None:
                return Response(said, answer.status_code, kept_headers(answer))
            attempt = following
        if attempt is not None and answer.is_success:
            self.personalizer.accepted(attempt)
        return Relay(answer, kind)

    def _headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Select the app's headers that pass, and add the key in the way in which the app gave its token."""
        kept = [(name, value) for name, value in request.scope["headers"] if _SENT.fullmatch(name)]
        own = next((name for name in _KEYS if name in request.headers), None)
        key = (own.encode(), self.key.encode()) if own else (b"authorization", b"Bearer " + self.key.encode())
        return [*kept, key, (b"accept-encoding", b"identity")]

    @asynccontextmanager
    async def _living(self, app: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(self._look())
        yield
        looking.cancel()
        for client in self._clients:
            await client.aclose()
        _log.info("ended: %s", ", ".join(f"{count} {what}" for what, count in self.personalizer.counts.items()) or "-")

    async def _look(self) -> None:
        """Look at the store now and then, so that what was forgotten leaves this program's memory."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(ProfileError):  # A deleted store: the next request says so.
                self.personalizer.look()


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind: Kind | None = "messages" if request.url.path.startswith("/v1/messages") else None
    return JSONResponse(error_body(kind, error.detail, error.status_code), error.status_code, error.headers)
