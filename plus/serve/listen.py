"""The proxy as a server: a socket, the apps' tokens, the log; or one request pushed through it for a dry run."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, AF_INET6, create_server, socket
from urllib.parse import urlsplit

import httpx2
import uvicorn

from plus.errors import EndpointError, SettingError
from plus.serve.capture import Caught, Outgoing
from plus.serve.endpoint import checked_url
from plus.serve.proxy import LOOPBACK, Proxy
from plus.serve.requests import Personalizer

TOKEN_LENGTH = 16  # characters, at least
GRACE = 30  # seconds for open answers after Ctrl-C


@dataclass(frozen=True)
class ProxySettings:
    """Addresses and limits of a proxy.

    upstream: an address that ends in /v1. key: of the upstream. port: 0 takes a free one. apps: SHA-256 of a token ->
    the app's name. timeout: seconds to wait for the upstream's next byte. max_connections: at once; the next one is
    told 503.
    """

    upstream: str
    key: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8787
    apps: Mapping[bytes, str] = field(default_factory=dict)
    timeout: float = 600.0
    max_connections: int = 500

    def __post_init__(self) -> None:
        """Check what can be checked before a socket opens. Raises SettingError and EndpointError."""
        if not self.apps and self.host not in LOOPBACK:
            raise SettingError(f"on {self.host} every machine that reaches it could use your key; give --tokens FILE")
        if not self.key:
            raise EndpointError("no key for the upstream; set OPENAI_API_KEY (any text where none is needed)")
        checked_url(self.upstream)
        address = urlsplit(self.upstream)
        if self.port and (address.hostname, address.port) in [(name, self.port) for name in LOOPBACK]:
            raise SettingError(f"the upstream {self.upstream} is this proxy itself; give --upstream, or another --port")


def key_of_environment() -> str:
    """Return the upstream's key, OPENAI_API_KEY; "" where it is not set."""
    return os.environ.get("OPENAI_API_KEY", "")


def listen(personalizer: Personalizer, settings: ProxySettings, say: Callable[[str], None]) -> None:
    """Serve the proxy until it is interrupted; open answers get 30 seconds. Raises SettingError for a port in use."""
    # The socket first: a port in use is one line, and nothing has started.
    with open_socket(settings.host, settings.port) as listener:
        app = Proxy(personalizer, settings.upstream, settings.key, settings.apps, settings.timeout).app()
        _log_to_stderr()
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
            limit_concurrency=settings.max_connections, timeout_graceful_shutdown=GRACE,
        )  # fmt: skip
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        say(f"listening on http://{name}:{listener.getsockname()[1]}/v1, forwarding to {settings.upstream}")
        uvicorn.Server(config).run(sockets=[listener])


def dry_run(personalizer: Personalizer, settings: ProxySettings, body: bytes) -> list[Outgoing]:
    """Push one request through the application that would listen; return what it would send, and send nothing.

    Raises SettingError where the proxy refuses the request.
    """
    caught = Caught()
    proxy = Proxy(personalizer, settings.upstream, settings.key, {}, settings.timeout, caught.transport)

    async def run() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(proxy.app())) as inside:
            path = "responses" if b'"input"' in body and b'"messages"' not in body else "chat/completions"
            headers = {"Content-Type": "application/json"}
            return await inside.post(f"http://localhost/v1/{path}", content=body, headers=headers)

    if (answer := asyncio.run(run())).status_code >= 400:
        raise SettingError(json.loads(answer.content)["error"]["message"])
    return caught.outgoing


def read_tokens(path: Path) -> dict[bytes, str]:
    """Read SHA-256 of a token -> app from lines NAME TOKEN. Raises SettingError, which shows no token."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, words in enumerate(lines, 1):
        if len(words) != 2 or len(words[1]) < TOKEN_LENGTH:  # The line itself is a secret.
            raise SettingError(f"entry {number} of {path} is not NAME TOKEN with a token of 16 characters or more")
    if not lines:
        raise SettingError(f"{path} holds no token; a line is NAME TOKEN")
    return {hashlib.sha256(token.encode()).digest(): name for name, token in lines}


def open_socket(host: str, port: int) -> socket:
    """Open the socket before anything else starts. Raises SettingError."""
    try:
        return create_server((host, port), family=AF_INET6 if ":" in host else AF_INET, backlog=2048)
    except OSError as error:
        raise SettingError(f"cannot listen on {host} port {port}: {error.strerror}; give another --port") from error


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger("plus.proxy")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    # The server's own lines would hold tracebacks; ours say what failed.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
