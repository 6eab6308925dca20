"""Requests of apps as they come in: who may ask, their bytes within limits, and who is named."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from plus.errors import SettingError
from plus.serve.protocols import error_body

USER_HEADER = "x-plus-user"
TOKEN_LENGTH = 16  # characters, at least
# First words of the paths that are handed on: what a model's server answers, and neither files nor administration.
ROUTES = frozenset(
    ("audio", "chat", "completions", "conversations", "embeddings", "images", "messages", "models", "moderations",
     "rerank", "responses", "tokenize", "detokenize")
)  # fmt: skip
MAX_BODY = 32 * 2**20  # bytes: long contexts and pictures, not uploads
BUDGET = 192 * 2**20  # bytes of memory for all bodies that are being worked on
SMALL = 64 * 2**10  # bytes: such bodies need no room in the budget, so that large ones never stop them
COPIES = 6  # of a body in memory while it is read, parsed and written anew
SENT_COPIES = 2  # of a body while its answer is waited for
LEFT = 499  # status in the log of a request whose caller left
MAX_PARTS = 64 * 2**20  # bytes of memory for the objects, lists and values of a body, estimated
BODY_SECONDS = 120.0
TOO_LARGE = f"the request is larger than {MAX_BODY // 2**20} MiB"
BUSY = "the proxy answers as many requests as it may; raise --max_connections or try again"
FULL = "too many large requests at once; try again"
_PART_BYTES = {b"{": 240, b"[": 88, b",": 60}


@dataclass(frozen=True)
class Access:
    """Programs that may use a proxy, and what they may ask.

    tokens: SHA-256 of an app's token -> the app's name; without any, every program that reaches the port may. users:
    app -> the only users it may name. user_headers: names of headers that name the user, beside X-Plus-User. routes:
    first words of paths that are handed on. origins: web pages whose scripts may ask. max_requests: at once.
    """

    tokens: Mapping[bytes, str] = field(default_factory=dict)
    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    user_headers: tuple[str, ...] = ()
    routes: frozenset[str] = ROUTES
    origins: tuple[str, ...] = ()
    max_requests: int = 500

    @property
    def header_names(self) -> frozenset[bytes]:
        """Names of the headers that name the user, as they arrive."""
        return frozenset(name.lower().encode() for name in (USER_HEADER, *self.user_headers))

    def app_of(self, token: str) -> str | None:
        """Return the name of the app with a token, "-" where none is needed."""
        # Hashes are looked up, so that the time it takes says nothing about the token.
        return self.tokens.get(hashlib.sha256(token.encode()).digest()) if self.tokens else "-"


def read_tokens(path: Path) -> tuple[dict[bytes, str], dict[str, frozenset[str]]]:
    """Read lines NAME TOKEN [USER,USER...]; returns SHA-256 of a token -> app, and app -> the only users it may name.

    Raises SettingError, which shows no token.
    """
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    tokens: dict[bytes, str] = {}
    users: dict[str, frozenset[str]] = {}
    for number, words in enumerate(lines, 1):
        if len(words) not in (2, 3) or len(words[1]) < TOKEN_LENGTH:  # The line itself is a secret.
            raise SettingError(
                f"entry {number} of {path} is not NAME TOKEN [USER,USER] with a token of 16 characters or more"
            )
        name, hashed = words[0], hashlib.sha256(words[1].encode()).digest()
        if tokens.get(hashed, name) != name:
            raise SettingError(
                f"entry {number} of {path} gives {name} the token of {tokens[hashed]}; give each its own"
            )
        tokens[hashed] = name
        if len(words) == 3:
            users[name] = users.get(name, frozenset()) | set(words[2].split(","))
    if not lines:
        raise SettingError(f"{path} holds no token; a line is NAME TOKEN")
    return tokens, users


class Budget:
    """Memory for large bodies, shared by all requests."""

    def __init__(self, total: int = BUDGET) -> None:
        self.left = total


class Account:
    """Share of a Budget that one request holds; used with `with`, it is given back at the end."""

    def __init__(self, budget: Budget) -> None:
        self.budget, self.held = budget, 0

    def hold(self, size: int) -> None:
        """Hold this much from now on, more or less than before. Raises HTTPException 503."""
        if size - self.held > self.budget.left:
            raise HTTPException(503, FULL, {"Retry-After": "1"})
        self.budget.left -= size - self.held
        self.held = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.hold(0)


class Admission:
    """ASGI middleware that answers at most `most` requests at once; only those to the model's routes count."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most, self.open = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or tell it 503."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            return await self.app(scope, receive, send)
        if self.open >= self.most:
            answer = JSONResponse(error_body(None, BUSY, 503), 503, {"Retry-After": "1"})
            return await answer(scope, receive, send)
        self.open += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.open -= 1


async def read_body(request: Request, account: Account, is_json: bool = True) -> bytes:
    """Read a body within the limits. Raises HTTPException 408, 413 or 503.

    JSON is refused as soon as its parts would take more than MAX_PARTS: parsing holds the interpreter in any thread, so
    its length must be bounded.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY:
        raise HTTPException(413, TOO_LARGE, {"Connection": "close"})
    pieces, size, parts = [], 0, 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > MAX_BODY:
                    raise HTTPException(413, TOO_LARGE, {"Connection": "close"})
                if is_json:
                    parts += sum(piece.count(mark) * taken for mark, taken in _PART_BYTES.items())
                if parts > MAX_PARTS:
                    raise HTTPException(413, "the request's JSON has too many parts", {"Connection": "close"})
                if size > SMALL:
                    account.hold(COPIES * size)
                pieces.append(piece)
    except TimeoutError:
        raise HTTPException(408, f"the request did not come within {BODY_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise HTTPException(LEFT, "the caller left") from None
    return b"".join(pieces) if len(pieces) != 1 else pieces[0]


def parsed(raw: bytes) -> dict[str, Any]:
    """Parse a body that is a JSON object. Raises HTTPException 400."""
    try:
        given = _DECODER.decode(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        what = "has a number with too many digits" if "digits" in str(error) else "is no JSON"
        raise HTTPException(400, f"the request {what}") from None
    if not isinstance(given, dict):
        raise HTTPException(400, f"the request must be a JSON object, not {type(given).__name__}")
    return given


def written(given: Mapping[str, Any]) -> bytes:
    """Write a request as JSON. Raises HTTPException 400 for a number that no server can read."""
    try:
        return json.dumps(given, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise HTTPException(400, "the request has a number larger than JSON's readers take") from None


def user_of(headers: Sequence[tuple[bytes, bytes]], given: Mapping[str, Any], names: frozenset[bytes]) -> str | None:
    """Find the user whom a request names: in the headers `names`, `safety_identifier`, `user`, `metadata.user_id`.

    None where it names nobody. Raises HTTPException 400 where two names differ.
    """
    metadata = given.get("metadata")
    found: list[Any] = [header_text(value) for name, value in headers if name in names]
    found += [given.get("safety_identifier"), given.get("user")]
    found += [metadata.get("user_id")] if isinstance(metadata, dict) else []
    named = {name for name in found if isinstance(name, str) and name}
    if len(named) > 1:
        raise HTTPException(400, "the request names two different users, in headers or fields; name one")
    return next(iter(named), None)


def header_text(value: bytes) -> str:
    """Read a header's value: UTF-8, else Latin-1, with percent-encoded UTF-8 (encodeURIComponent) decoded."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return unquote(text, errors="replace")


def without_id(given: Mapping[str, Any], user_id: str | None, hashed: Callable[[str], str]) -> Mapping[str, Any]:
    """Put hashes in the place of the user's id; returns `given` itself where no field holds it.

    A name that is no text names nobody, and leaves as a hash too.
    """
    changed: dict[str, Any] = {}
    for name in ("user", "safety_identifier"):
        if given.get(name) not in (None, ""):
            value = given[name]
            changed[name] = hashed(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
    for name in ("prompt_cache_key", "metadata"):
        value = _hidden(given[name], user_id, hashed) if name in given else None
        if name == "metadata" and isinstance(value, dict) and value.get("user_id") not in (None, ""):
            # Already a hash where it is the user's id, else a name that is no text.
            value["user_id"] = value["user_id"] if isinstance(value["user_id"], str) else hashed(str(value["user_id"]))
        if name in given and value != given[name]:
            changed[name] = value
    return {**given, **changed} if changed else given


def _hidden(value: Any, user_id: str | None, hashed: Callable[[str], str]) -> Any:
    """Copy a value of JSON with hashes where the user's id stands."""
    if isinstance(value, dict):
        return {name: _hidden(item, user_id, hashed) for name, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, user_id, hashed) for item in value]
    return hashed(value) if user_id is not None and value == user_id else value


def _no_number(text: str) -> Any:
    raise HTTPException(400, f"{text} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
