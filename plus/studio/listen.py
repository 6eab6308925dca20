"""The page as a server: a socket on this machine, the printed address, the log of routes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import uvicorn

from plus.serve.listen import TimedProtocol, open_socket
from plus.studio.access import LINK_SECONDS, link_for
from plus.studio.app import app
from plus.studio.studio import Studio

HOST = "127.0.0.1"


def listen(studio: Studio, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until it is interrupted. Raises SettingError where the port is taken."""
    with open_socket(HOST, port) as listener:
        start = f"http://{HOST}:{listener.getsockname()[1]}"
        say(f"open {start}/in?token={studio.keys.token}")
        if studio.only is not None:
            link = link_for(studio.profiles.salt, studio.only, time.time() + LINK_SECONDS)
            say(f"for an hour, for this person alone: {start}/in?link={link}")
        _log_to_stderr()
        threading.Thread(target=studio.preload, daemon=True).start()
        config = uvicorn.Config(
            app(studio), http=TimedProtocol, log_config=None, access_log=False, server_header=False,
            proxy_headers=False, lifespan="off", timeout_graceful_shutdown=2,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])


def _log_to_stderr() -> None:
    log, handler = logging.getLogger("plus.studio"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    # The server's own lines would hold addresses and tracebacks.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
