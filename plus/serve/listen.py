"""The proxy as a server: a socket, the apps' tokens, worker processes, the log; or one request pushed through it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from plus.errors import EndpointError, SettingError
from plus.serve.capture import Caught, Outgoing
from plus.serve.endpoint import LOOPBACK, checked_url, shown_url
from plus.serve.incoming import Access, read_tokens
from plus.serve.metrics import Metrics
from plus.serve.proxy import Proxy
from plus.serve.requests import Personalizer

GRACE = 30  # seconds for open answers after Ctrl-C
HEADER_SECONDS = 10.0  # for the first byte of a request, and from it to the end of the header
SHORTEST = 2.0  # seconds: a worker that ends sooner would end again
_log = logging.getLogger("plus.proxy")


@dataclass(frozen=True)
class ProxySettings:
    """Addresses and limits of a proxy.

    upstream: an address that ends in /v1. key: of the upstream. port: 0 takes a free one. tokens: file of the apps that
    may use it. timeout: seconds to wait for the upstream's next byte. grace: seconds for open answers at the end.
    """

    upstream: str
    key: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8787
    tokens: Path | None = None
    access: Access = field(default_factory=Access)
    timeout: float = 600.0
    grace: int = GRACE
    workers: int = 1

    def __post_init__(self) -> None:
        """Check what can be checked before a socket opens. Raises SettingError and EndpointError."""
        if self.tokens is None and self.host not in LOOPBACK:
            raise SettingError(f"on {self.host} every machine that reaches it could use your key; give --tokens FILE")
        if not self.key:
            raise EndpointError("no key for the upstream; set OPENAI_API_KEY (any text where none is needed)")
        checked_url(self.upstream)
        if self.workers > 1 and not hasattr(os, "fork"):
            raise SettingError("this system has no fork, which --workers needs; leave it out")
        if self.port and self._is_itself(self.port):
            raise SettingError(
                f"the upstream {shown_url(self.upstream)} is this proxy itself; give --upstream, or another --port"
            )

    def _is_itself(self, port: int) -> bool:
        """Whether the upstream is an address of this machine at the port where the proxy listens."""
        parts = urlsplit(self.upstream)
        if (parts.port or {"http": 80, "https": 443}[parts.scheme]) != port:
            return False
        if parts.hostname in LOOPBACK:
            return True
        try:
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except OSError:
            return False  # Nobody answers there; the first request says so.
        return any(_is_local(family, str(address[0])) for family, _, _, _, address in found)

    def with_tokens(self) -> ProxySettings:
        """Read the file of tokens. Raises SettingError."""
        if self.tokens is None:
            return self
        tokens, users = read_tokens(self.tokens)
        return replace(self, access=replace(self.access, tokens=tokens, users=users))

    def warnings(self) -> list[str]:
        """Say what is less safe than it could be."""
        found = []
        parts = urlsplit(self.upstream)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            found.append(f"warning: key and summaries go to {parts.hostname} in clear text; give an https address")
        if self.tokens is not None and os.name == "posix" and self.tokens.stat().st_mode & 0o077:
            found.append(f"warning: other users of this machine may read {self.tokens}; chmod 600 {self.tokens}")
        return found

    def route(self) -> str:
        """Say where requests go: the upstream, and the environment's proxy before it; without any password."""
        parts = urlsplit(self.upstream)
        found = getproxies().get(parts.scheme) or getproxies().get("all")
        if not found or parts.hostname in LOOPBACK or proxy_bypass(parts.hostname or ""):
            return shown_url(self.upstream)
        return f"{shown_url(self.upstream)} through the proxy {shown_url(found)}"


def key_of_environment() -> str:
    """Return the upstream's key, OPENAI_API_KEY; "" where it is not set."""
    return os.environ.get("OPENAI_API_KEY", "")


def listen(personalizer: Personalizer, settings: ProxySettings, say: Callable[[str], None]) -> None:
    """Serve the proxy until it is interrupted; open answers get `grace` seconds. Raises SettingError.

    SIGHUP reads the tokens anew. No connection to the store may be open yet: each worker opens its own.
    """
    settings = settings.with_tokens()
    # The socket first: a port in use is one line, and nothing has started.
    with ExitStack() as stack:
        listeners = [stack.enter_context(one) for one in open_sockets(settings.host, settings.port, settings.workers)]
        _log_to_stderr()
        for line in settings.warnings():
            say(line)
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        say(f"listening on http://{name}:{listeners[0].getsockname()[1]}/v1, forwarding to {settings.route()}")
        metrics = Metrics(settings.workers)
        if settings.workers == 1:
            _serve(personalizer, settings, listeners[0], metrics)
        else:

            def work(number: int) -> None:
                _serve(personalizer, settings, listeners[number % len(listeners)], metrics.row(number))

            run_workers(settings.workers, work)


def _serve(personalizer: Personalizer, settings: ProxySettings, listener: socket.socket, metrics: Metrics) -> None:
    """Serve in this process until it is told to end."""
    upstream = settings.upstream
    proxy = Proxy(personalizer, upstream, settings.key, settings.access, settings.timeout, metrics=metrics)

    def reload(*_: object) -> None:
        try:
            proxy.access = settings.with_tokens().access
            _log.info("tokens read anew: %d", len(proxy.access.tokens))
        except (SettingError, OSError) as error:
            _log.error("tokens not read, the old ones stay: %s", error)

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, reload)
    parent = os.getppid()

    async def check_parent() -> None:
        server.should_exit = server.should_exit or (settings.workers > 1 and os.getppid() != parent)

    config = uvicorn.Config(
        proxy.app(), http=TimedProtocol, log_config=None, access_log=False, server_header=False, proxy_headers=False,
        lifespan="on", timeout_graceful_shutdown=settings.grace, callback_notify=check_parent, timeout_notify=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.run(sockets=[listener])


def run_workers(count: int, work: Callable[[int], None]) -> None:
    """Run `work(number)` in `count` forked processes until SIGTERM or SIGINT; one that dies is replaced.

    SIGHUP is passed on. Raises ChildProcessError when a worker ends as soon as it began.
    """
    children: dict[int, tuple[int, float]] = {}
    ending = False

    def tell(number: int, _: object) -> None:
        nonlocal ending
        ending = ending or number != signal.SIGHUP
        for child in list(children):
            os.kill(child, signal.SIGTERM if number == signal.SIGINT else number)

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, tell)
    for number in range(count):
        children[_fork(number, work)] = (number, time.monotonic())
    failed = False
    while children:
        child, _ = os.wait()
        number, began = children.pop(child, (0, 0.0))
        if not ending and time.monotonic() - began < SHORTEST:
            failed = True
            tell(signal.SIGTERM, None)
        elif not ending:
            children[_fork(number, work)] = (number, time.monotonic())
    if failed:
        raise ChildProcessError("a worker ended as soon as it began")


def _fork(number: int, work: Callable[[int], None]) -> int:
    if child := os.fork():
        return child
    # A group of its own: Ctrl-C reaches the parent, which tells each worker once.
    status = 1
    try:
        os.setpgid(0, 0)
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        work(number)
        status = 0
    finally:
        os._exit(status)


class TimedProtocol(H11Protocol):
    """HTTP connection that is closed when a header does not come in time: idle callers hold no sockets."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request from now on."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        """Take bytes; half a header must be whole in time."""
        super().data_received(data)
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif not answering and self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _late(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def dry_run(personalizer: Personalizer, settings: ProxySettings, body: bytes) -> list[Outgoing]:
    """Push one request through the application that would listen; return what it would send, and send nothing.

    Raises SettingError where the proxy refuses the request.
    """
    caught = Caught()
    proxy = Proxy(personalizer, settings.upstream, settings.key, Access(), settings.timeout, caught.transport)

    async def run() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(proxy.app())) as inside:
            path = "responses" if b'"input"' in body and b'"messages"' not in body else "chat/completions"
            headers = {"Content-Type": "application/json"}
            return await inside.post(f"http://localhost/v1/{path}", content=body, headers=headers)

    if (answer := asyncio.run(run())).status_code >= 400:
        raise SettingError(json.loads(answer.content)["error"]["message"])
    return caught.outgoing


def open_sockets(host: str, port: int, workers: int) -> list[socket.socket]:
    """Open a socket for each worker, among which Linux deals connections evenly; elsewhere all share one.

    The first of several that wait on one socket takes all that are there: of 200 connections one of two took up to 197.
    They stay open here, so that a worker that is replaced loses none. Raises SettingError.
    """
    listener = open_socket(host, port)
    if workers == 1 or not sys.platform.startswith("linux"):
        return [listener]
    # Opened alone first: another program's port is not shared.
    port = listener.getsockname()[1]
    listener.close()
    return [open_socket(host, port, shared=True) for _ in range(workers)]


def open_socket(host: str, port: int, shared: bool = False) -> socket.socket:
    """Open the socket before anything else starts; `shared` with others of this program. Raises SettingError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048, reuse_port=shared)
        # Accepted sockets take it over. asyncio sets it only where a socket names its protocol, which those do not, and
        # a second write would wait 40 ms for the app's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise SettingError(f"cannot listen on {host} port {port}: {error.strerror}; give another --port") from error


def _is_local(family: int, address: str) -> bool:
    """Whether an address is one of this machine's: only those can be bound."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    # The server's own lines would hold tracebacks; ours say what failed.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
