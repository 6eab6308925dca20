"""`plus proxy`: an OpenAI-compatible server that knows the users."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from plus.cli.show import say
from plus.cli.stores import StoreFile, open_store

if TYPE_CHECKING:
    from socket import socket

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
    max_connections: Annotated[int, typer.Option(help="At once; the next one is told 503.", min=1)] = 500,
    store: StoreFile = None,
) -> None:
    """Personalize any program with a base URL: the user is the header X-Plus-User, or the request's safety_identifier or user.

    Sends each request, with the user's summary, to the upstream with your OPENAI_API_KEY. Ends on Ctrl-C when open
    answers are through.

    Example: plus proxy --port 8787
    """  # fmt: skip
    from plus.errors import EndpointError, SettingError

    try:
        import uvicorn

        from plus.serve.proxy import LOOPBACK, Proxy
        from plus.serve.requests import Personalizer, salt_of
    except ImportError as error:
        raise EndpointError("the proxy needs its server; pip install 'plus-preferences[api]'") from error

    apps = _apps(tokens) if tokens else {}
    if not apps and host not in LOOPBACK:
        raise SettingError(f"on {host} every machine that reaches it could use your key; give --tokens FILE")
    if not (key := os.environ.get("OPENAI_API_KEY", "")):
        raise EndpointError("no key for the upstream; set OPENAI_API_KEY (any text where none is needed)")
    if not upstream.startswith(("http://", "https://")):
        raise SettingError(f"the upstream {upstream!r} is no http address; give --upstream https://HOST/v1")
    if port and (urlsplit(upstream).hostname, urlsplit(upstream).port) in [(name, port) for name in LOOPBACK]:
        raise SettingError(f"the upstream {upstream} is this proxy itself; give --upstream, or another --port")
    with open_store(store) as opened, _listening(host, port) as listener:
        personalizer = Personalizer(opened, salt_of(key), on_unknown, max_tokens, placement)
        app = Proxy(personalizer, upstream, key, apps, timeout).app()
        _log_to_stderr()
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
            limit_concurrency=max_connections, timeout_graceful_shutdown=30,
        )  # fmt: skip
        name = f"[{host}]" if ":" in host else host
        say(f"listening on http://{name}:{listener.getsockname()[1]}/v1, forwarding to {upstream}")
        uvicorn.Server(config).run(sockets=[listener])


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
