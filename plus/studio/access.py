"""Access to the page: the token of a start, signed links of one person, the cookie, and what every answer carries.

A token or a link is traded for a cookie at once, so that neither stays in an address. A link holds a person's number,
which no other person ever gets: it ends with a forget, and with its time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plus.serve.endpoint import LOOPBACK

MAX_BODY = 256 * 2**10  # bytes of a form: every summary that a request can carry, and no upload
LINK_SECONDS = 3600  # for which a signed link opens the page, and its cookie keeps it open
SAFE_SITES = ("same-origin", "none")  # of Sec-Fetch-Site: our own page, or the person's own address bar
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # no-referrer would make the Origin of our own forms "null"
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class RefusedError(Exception):
    """Request that is not answered: `reason` names its sentence in words.toml."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Visitor:
    """Visitor of the page: an operator, or one person by their number. `cookie` is the text that says so."""

    cookie: str
    number: int | None = None


class Keys:
    """Secrets of one start: the token in the printed address, and what signs cookies and forms."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._secret = secrets.token_bytes(32)

    def opens(self, token: str) -> bool:
        """Tell whether a token is that of this start."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def cookie(self, number: int | None, until: float = 0) -> str:
        """Write the cookie of a visitor; until: the moment in seconds since 1970 at which it ends, 0: with us."""
        return signed(self._secret, f"{number or 0}.{int(until)}.{secrets.token_hex(8)}")

    def visitor(self, cookie: str) -> Visitor | None:
        """Read a cookie; None for one of another start, and after its time."""
        found = unsigned(self._secret, cookie)
        if found is None:
            return None
        number, until, _ = found.split(".")
        return Visitor(cookie, int(number) or None) if not int(until) or time.time() < int(until) else None

    def form_token(self, visitor: Visitor) -> str:
        """Return the token that a visitor's forms must carry."""
        return hmac.new(self._secret, f"form {visitor.cookie}".encode(), hashlib.sha256).hexdigest()


def link_for(salt: bytes, number: int, until: float) -> str:
    """Sign a link that opens the page of one person, by their number, until a moment."""
    return signed(_link_key(salt), f"{number}.{int(until)}")


def read_link(salt: bytes, link: str) -> tuple[int, int]:
    """Return (the person's number, until when) of a link. Raises RefusedError for a wrong or an old one."""
    found = unsigned(_link_key(salt), link)
    if found is None:
        raise RefusedError(401, "wrong_link")
    number, until = map(int, found.split("."))
    if time.time() >= until:
        raise RefusedError(401, "old_link")
    return number, until


def signed(key: bytes, text: str) -> str:
    """Add a signature to a text."""
    return f"{text}.{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


def unsigned(key: bytes, given: str) -> str | None:
    """Take the signature off a text; None where it is not ours."""
    text = given.rpartition(".")[0]
    return text if hmac.compare_digest(given.encode(), signed(key, text).encode()) else None


def _link_key(salt: bytes) -> bytes:
    return hmac.new(salt, b"plus studio link", hashlib.sha256).digest()


def check_post(request: Request) -> None:
    """Refuse a form that another site's page sends. Raises RefusedError."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if site not in (None, *SAFE_SITES) or origin not in (None, own):
        raise RefusedError(403, "cross_site")


async def read_form(request: Request) -> Mapping[str, str]:
    """Read the fields of a form within the limit. Raises RefusedError."""
    kind = request.headers.get("content-type", "application/x-www-form-urlencoded")
    if not kind.startswith("application/x-www-form-urlencoded"):
        raise RefusedError(415, "no_form")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise RefusedError(413, "too_large")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise RefusedError(400, "no_form") from None
    # A form sends its lines as CR LF; texts here have LF.
    return {name: value.replace("\r\n", "\n") for name, value in fields}


class Guard:
    """ASGI middleware that answers to loopback names only (DNS rebinding), and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, refuse: ASGIApp) -> None:
        self.app, self.refuse = app, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "max-age=31536000, immutable"  # A new version has another address.
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        host = MutableHeaders(scope=scope).get("host", "")
        name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        await (self.app if name in LOOPBACK else self.refuse)(scope, receive, guarded)
