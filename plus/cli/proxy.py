"""`plus proxy`: an OpenAI-compatible server that knows the users."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from plus.cli.dry_run import catcher, show_outgoing
from plus.cli.show import say
from plus.cli.stores import StoreFile, open_store, store_path

if TYPE_CHECKING:
    from socket import socket

    from plus.serve.gate import Gate
    from plus.serve.proxy import Proxy

OPENAI = "https://api.openai.com/v1"


def proxy(
    upstream: Annotated[
        str,
        typer.Option(
            envvar="OPENAI_BASE_URL", show_envvar=True, help="Where requests go: an address that ends in /v1."
        ),
    ] = OPENAI,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with --tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8787,
    tokens: Annotated[
        Path | None, typer.Option(help="File of the apps that may use it, a line each: NAME TOKEN.")
    ] = None,
    placement: Annotated[
        Literal["system", "developer", "user"], typer.Option(help="The profile's role where the app has no text.")
    ] = "system",
    max_tokens: Annotated[int, typer.Option(help="Of a profile: whole sentences that fit.", min=1)] = 512,
    on_unknown: Annotated[
        Literal["plain", "error"], typer.Option(help="For users without a summary: forward as it is, or refuse.")
    ] = "plain",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the upstream's next byte.", min=0.1)] = 600.0,
    gate: Annotated[
        float | None,
        typer.Option(help="Relevance (cosine) below which a prompt goes without the summary; plus gate finds it."),
    ] = None,
    max_connections: Annotated[int, typer.Option(help="At once; the next one is told 503.", min=1)] = 500,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Read one request on stdin, print the exact bytes that it would become, and send nothing."
        ),
    ] = False,
    store: StoreFile = None,
) -> None:
    """Personalize any program with a base URL: the user is the header X-Plus-User, or the request's safety_identifier or user.

    Sends each request, with the user's summary, to the upstream with your OPENAI_API_KEY. Ends on Ctrl-C when open
    answers are through.

    Example: plus proxy --port 8787
    """  # fmt: skip
    import uvicorn

    from plus.errors import EndpointError, SettingError
    from plus.serve.endpoint import checked_url
    from plus.serve.proxy import LOOPBACK, Proxy
    from plus.serve.requests import Personalizer, salt_of
    from plus.serve.requests import StoreFile as Threaded

    apps = _apps(tokens) if tokens else {}
    if not apps and host not in LOOPBACK:
        raise SettingError(f"on {host} every machine that reaches it could use your key; give --tokens FILE")
    if not (key := os.environ.get("OPENAI_API_KEY", "")):
        raise EndpointError("no key for the upstream; set OPENAI_API_KEY (any text where none is needed)")
    checked_url(upstream)
    if port and (urlsplit(upstream).hostname, urlsplit(upstream).port) in [(name, port) for name in LOOPBACK]:
        raise SettingError(f"the upstream {upstream} is this proxy itself; give --upstream, or another --port")
    with ExitStack() as stack:
        opened = stack.enter_context(open_store(store))
        # The gate works in threads, and SQLite wants a connection for each.
        profiles = opened if gate is None else Threaded(store_path(store))
        personalizer = Personalizer(profiles, salt_of(key), on_unknown, max_tokens, placement, _gate(gate))
        if dry_run:
            caught = catcher()
            _push_through(Proxy(personalizer, upstream, key, {}, timeout, caught.transport), sys.stdin.buffer.read())
            show_outgoing(caught.outgoing)
            return
        listener = stack.enter_context(_listening(host, port))
        app = Proxy(personalizer, upstream, key, apps, timeout).app()
        _log_to_stderr()
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
            limit_concurrency=max_connections, timeout_graceful_shutdown=30,
        )  # fmt: skip
        name = f"[{host}]" if ":" in host else host
        say(f"listening on http://{name}:{listener.getsockname()[1]}/v1, forwarding to {upstream}")
        uvicorn.Server(config).run(sockets=[listener])


def _push_through(proxy: Proxy, body: bytes) -> None:
    """One request through the very application that would listen. Raises SettingError where it is refused."""
    import asyncio
    import json

    import httpx2

    from plus.errors import SettingError

    async def run() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(proxy.app())) as inside:
            path = "responses" if b'"input"' in body and b'"messages"' not in body else "chat/completions"
            headers = {"Content-Type": "application/json"}
            return await inside.post(f"http://localhost/v1/{path}", content=body, headers=headers)

    if (answer := asyncio.run(run())).status_code >= 400:
        raise SettingError(json.loads(answer.content)["error"]["message"])


def _gate(threshold: float | None) -> Gate | None:
    if threshold is None:
        return None
    from plus.cli.gate import sentence_model
    from plus.serve.gate import Gate

    return Gate(sentence_model(), threshold)


def _apps(path: Path) -> dict[bytes, str]:
    """SHA-256 of a token -> the app's name."""
    import hashlib

    from plus.errors import SettingError

    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, words in enumerate(lines, 1):
        if len(words) != 2 or len(words[1]) < 16:  # The line itself is a secret.
            raise SettingError(f"entry {number} of {path} is not NAME TOKEN with a token of 16 characters or more")
    if not lines:
        raise SettingError(f"{path} holds no token; a line is NAME TOKEN")
    return {hashlib.sha256(token.encode()).digest(): name for name, token in lines}


def _listening(host: str, port: int) -> socket:
    """A socket that listens, or OSError, before anything else starts."""
    from socket import AF_INET, AF_INET6, create_server

    from plus.errors import SettingError

    try:
        return create_server((host, port), family=AF_INET6 if ":" in host else AF_INET, backlog=2048)
    except OSError as error:
        raise SettingError(f"cannot listen on {host} port {port}: {error.strerror}; give another --port") from error


def _log_to_stderr() -> None:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger("plus.proxy")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    # The server's own lines would hold tracebacks; what went wrong is in ours.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
