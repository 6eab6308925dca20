"""OpenAI-compatible server between any program with a base URL and the model it talks to.

The user stands in a header (`X-Plus-User`) or in the request's `safety_identifier` or `user`. Requests
about users without a summary are forwarded byte for byte. Answers are handed on as they come. The
log has a line a request: route, app, status, milliseconds; no text, no user, no key; and at the end the number
of requests by outcome (Personalizer.counts). plus/serve/listen.py runs it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from plus.errors import ProfileError, UnknownUserError
from plus.serve.requests import Attempt, Kind, Personalizer

LOOPBACK = ("127.0.0.1", "localhost", "::1")
USER_HEADER = "x-plus-user"
UNKNOWN = "there is no summary of this user; write one, or start with --on_unknown plain"
MAX_BODY = 64 * 2**20  # bytes: long contexts and pictures, not uploads
# What passes from the app, and what comes back: keys, cookies and hop-by-hop headers do not.
_SENT = ("accept", "content-type", "idempotency-key", "openai-beta")
_RETURNED = ("content-type", "content-encoding", "retry-after", "retry-after-ms", "x-request-id")
_log = logging.getLogger("plus.proxy")


class Proxy:
    """Proxy that forwards to `upstream` (an address that ends in /v1) with `key`.

    `tokens` maps the SHA-256 of an app's token to the app's name; without any, every program that reaches the port may
    use it. `transport` takes the place of the network's (plus.serve.capture).
    """

    def __init__(
        self, personalizer: Personalizer, upstream: str, key: str, tokens: Mapping[bytes, str], timeout: float = 600.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self.personalizer, self.upstream, self.tokens = personalizer, upstream.rstrip("/"), tokens
        self._headers = {"authorization": f"Bearer {key}", "accept-encoding": "identity"}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        self._one_at_a_time = CapacityLimiter(1)
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(timeout, connect=10.0), limits=limits, transport=transport
        )

    def app(self) -> Starlette:
        """Build the ASGI application.

        Without tokens it answers to loopback names only, so that no web page reaches it under a name of its own
        (DNS rebinding).
        """
        hosts = ["*"] if self.tokens else [*LOOPBACK, "[::1]"]
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/healthz", _healthz),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
            exception_handlers={HTTPException: _refused},
            lifespan=self._closing,
        )

    async def _chat(self, request: Request) -> Response:
        return await self._logged(request, self._personal(request, "chat", "/chat/completions"))

    async def _responses(self, request: Request) -> Response:
        return await self._logged(request, self._personal(request, "responses", "/responses"))

    async def _models(self, request: Request) -> Response:
        return await self._logged(request, self._forward(request, "/models", b""))

    async def _logged(self, request: Request, answer: Any) -> Response:
        """Await an answer for an app that may use the proxy, and log its line."""
        started, status, app = time.perf_counter(), 500, "-"
        try:
            app = self._admit(request)
            response: Response = await answer
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        except Exception as error:
            _log.error("a fault of plus: %s", type(error).__name__)  # Its text and traceback may hold a request.
            raise
        finally:
            answer.close()
            taken = 1000 * (time.perf_counter() - started)
            _log.info("%s %s app=%s status=%d first_byte_ms=%.0f", request.method, request.url.path, app, status, taken)

    def _admit(self, request: Request) -> str:
        """Return the name of the app with this token. Raises HTTPException 401."""
        if not self.tokens:
            return "-"
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        # Hashes are looked up, so that the time it takes says nothing about the token.
        if (name := self.tokens.get(hashlib.sha256(token.encode()).digest())) is None:
            raise HTTPException(401, "this token is not among the proxy's; give the app's own as its API key")
        return name

    async def _personal(self, request: Request, kind: Kind, path: str) -> Response:
        """Answer a request with the profile of its user in it. Raises HTTPException."""
        raw = await _body(request)
        given = _parsed(request, raw)
        user_id = _user(request, given)
        # The user's id must not leave; other values of these fields are the app's own.
        named = {name for name in ("user", "safety_identifier") if name in given and given[name] == user_id}
        about = {name: value for name, value in given.items() if name not in named}
        try:
            attempt = await self._attempt(kind, user_id, about)
        except UnknownUserError:
            raise HTTPException(404, UNKNOWN) from None
        except ProfileError:
            raise HTTPException(503, "the profile store cannot be read now; plus doctor says why") from None
        except (AttributeError, TypeError, KeyError):  # Messages that are no messages: the upstream says so best.
            return await self._forward(request, path, raw)
        return await self._forward(request, path, raw, attempt if attempt.changed else None)

    async def _attempt(self, kind: Kind, user_id: str | None, about: Mapping[str, Any]) -> Attempt:
        if self.personalizer.gate is None:
            return self.personalizer.attempt(kind, user_id, about)
        # A sentence model takes milliseconds, in which the others shall be served.
        return await to_thread.run_sync(self.personalizer.attempt, kind, user_id, about, limiter=self._one_at_a_time)

    async def _forward(self, request: Request, path: str, raw: bytes, attempt: Attempt | None = None) -> Response:
        """Forward a request, again without the parts that the upstream refuses. Raises HTTPException 502 or 504."""
        headers = {**{name: request.headers[name] for name in _SENT if name in request.headers}, **self._headers}
        while True:
            # An unchanged request goes on byte for byte.
            content = json.dumps(attempt.sent, separators=(",", ":")).encode() if attempt else raw
            asked = self._client.build_request(request.method, self.upstream + path, content=content, headers=headers)
            answer = await self._send(asked)
            if attempt is None or answer.status_code not in (400, 422):
                break
            said = (await _read(answer)).decode(errors="replace")
            if (following := attempt.after_refusal(answer.status_code, said)) is None:
                return Response(said, answer.status_code, _kept(answer))
            attempt = following
        if attempt is not None and answer.is_success:
            self.personalizer.accepted(attempt)
        return _Relay(answer)

    async def _send(self, asked: httpx2.Request) -> httpx2.Response:
        try:
            return await self._client.send(asked, stream=True)
        except httpx2.TimeoutException:
            raise HTTPException(504, "the upstream did not answer in time; raise --timeout or try again") from None
        except httpx2.HTTPError as error:
            found = type(error).__name__
            raise HTTPException(502, f"the upstream cannot be reached ({found}); check OPENAI_BASE_URL") from None

    @asynccontextmanager
    async def _closing(self, app: Starlette) -> AsyncIterator[None]:
        yield
        await self._client.aclose()
        _log.info("ended: %s", ", ".join(f"{count} {what}" for what, count in self.personalizer.counts.items()) or "-")


class _Relay(StreamingResponse):
    """Response that hands on the upstream's answer as it comes, and closes it when the app is gone."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(self._pieces(answer), answer.status_code, _kept(answer))
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.answer.aclose()

    async def _pieces(self, answer: httpx2.Response) -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        except httpx2.HTTPError as error:
            _log.warning("the upstream's answer broke off (%s)", type(error).__name__)
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise ConnectionError("the upstream's answer broke off") from None  # The app must not take it as whole.
            yield b"\n\ndata: " + json.dumps(_error("the upstream's answer broke off", 502)).encode() + b"\n\n"


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(_error(error.detail, error.status_code), error.status_code, error.headers)


def _error(message: str, status: int) -> dict[str, Any]:
    """Format an error as OpenAI's clients read it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": str(status)}}


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY:
            raise HTTPException(413, f"the request is larger than {MAX_BODY // 2**20} MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _parsed(request: Request, raw: bytes) -> dict[str, Any]:
    # Pages of other sites can post forms and plain text without asking, JSON they cannot.
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415, "the request must be application/json")
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the request is no JSON") from None
    if not isinstance(given, dict):
        raise HTTPException(400, f"the request must be a JSON object, not {type(given).__name__}")
    return given


def _user(request: Request, given: Mapping[str, Any]) -> str | None:
    """Find the user's id: the header (UTF-8), else `safety_identifier`, else `user`."""
    if header := request.headers.get(USER_HEADER):
        return header.encode("latin-1").decode("utf-8", "replace")
    named = (given.get("safety_identifier"), given.get("user"))
    return next((value for value in named if isinstance(value, str) and value), None)


def _kept(answer: httpx2.Response) -> dict[str, str]:
    return {
        name: value
        for name, value in answer.headers.items()
        if name in _RETURNED or name.startswith(("openai-", "x-ratelimit-"))
    }


async def _read(answer: httpx2.Response) -> bytes:
    try:
        return await answer.aread()
    except httpx2.HTTPError:
        raise HTTPException(502, "the upstream's answer broke off") from None
    finally:
        await answer.aclose()
