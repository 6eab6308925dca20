"""Answers of the upstream on their way to an app that may leave at any time."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import httpx2
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from plus.serve.incoming import LEFT
from plus.serve.protocols import Kind, error_event

BROKE_OFF = "the upstream's answer broke off"
# Headers that belong to one connection, to the upstream's own cookies and pages, or that this server sets itself.
_NOT_RETURNED = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade", "set-cookie", "server", "date", "alt-svc", "strict-transport-security", "content-security-policy")
)  # fmt: skip
_NUMBER = re.compile(rb'"sequence_number":\s*(\d+)')
_log = logging.getLogger("plus.proxy")


class Caller:
    """Watch over the app that asked: when it leaves, the task that works for it is cancelled.

    `async with Caller(receive)` begins after the request's body was read; `left` says whether it has left.
    """

    def __init__(self, receive: Receive) -> None:
        self.receive, self.left = receive, False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watch = asyncio.create_task(self._wait())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        if self.left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise HTTPException(LEFT, "the caller left") from None

    async def _wait(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self._task.cancel()


class Relay(Response):
    """Response that hands on the upstream's answer as it comes, and closes it when the app is gone."""

    def __init__(self, answer: httpx2.Response, kind: Kind | None) -> None:
        super().__init__(None, answer.status_code, kept_headers(answer))
        if "content-length" not in answer.headers:
            del self.headers["content-length"]
        self.answer, self.kind = answer, kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer piece by piece."""
        try:
            async with Caller(receive):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async for piece in self._pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except HTTPException:
            pass  # The caller left: there is nobody to tell.
        finally:
            await self.answer.aclose()

    async def _pieces(self) -> AsyncIterator[bytes]:
        number = -1
        try:
            async for piece in self.answer.aiter_raw():
                if self.kind == "responses" and (found := _NUMBER.findall(piece)):
                    number = int(found[-1])
                yield piece
        except httpx2.HTTPError as error:
            _log.warning("%s (%s)", BROKE_OFF, type(error).__name__)
            if not self.answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise ConnectionError(BROKE_OFF) from None  # The app must not take it as whole.
            name, data = error_event(self.kind, BROKE_OFF, 502, number + 1)
            head = f"event: {name}\n" if name else ""
            yield f"\n\n{head}data: {json.dumps(data)}\n\n".encode()


async def sent(client: httpx2.AsyncClient, asked: httpx2.Request, receive: Receive) -> httpx2.Response:
    """Send a request and return the answer from its first byte on. Raises HTTPException 499, 502 or 504."""
    try:
        async with Caller(receive):
            return await client.send(asked, stream=True)
    except httpx2.TimeoutException:
        raise HTTPException(504, "the upstream did not answer in time; raise --timeout or try again") from None
    except httpx2.HTTPError as error:
        found = type(error).__name__
        raise HTTPException(502, f"the upstream cannot be reached ({found}); check OPENAI_BASE_URL") from None


async def whole(answer: httpx2.Response) -> bytes:
    """Read an answer to its end. Raises HTTPException 502."""
    try:
        return await answer.aread()
    except httpx2.HTTPError:
        raise HTTPException(502, BROKE_OFF) from None
    finally:
        await answer.aclose()


def kept_headers(answer: httpx2.Response) -> dict[str, str]:
    """Select the upstream's headers that belong to its answer."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name not in _NOT_RETURNED and not name.startswith("access-control-")
    }
