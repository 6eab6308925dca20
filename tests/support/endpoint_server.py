"""A small OpenAI-compatible server on this machine, over real HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """Where it listens, what it was asked, and what it shall refuse: words of the prompt -> HTTP status."""

    url: str = ""
    asked: list[dict] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    refuse: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    busiest: int = 0
    busy: int = 0


@contextmanager
def serving(seconds: float = 0.0) -> Iterator[Server]:
    """It answers "Likes X" with the newest chosen answer X, after `seconds`, several at a time."""
    server, lock = Server(seconds=seconds), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = "\n".join(message["content"] for message in body["messages"])
            with lock:
                server.asked.append(body)
                server.keys.add(self.headers["Authorization"])
                server.busy += 1
                server.busiest = max(server.busiest, server.busy)
            time.sleep(server.seconds)
            status = next((status for word, status in server.refuse.items() if word in text), 200)
            chosen = re.findall(r"(\w+ \d+\.)", text)
            answer = {
                "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant", "content": f" Likes {chosen[-1]} " if chosen else ""}}],
            }  # fmt: skip
            payload = json.dumps(answer if status == 200 else {"error": {"message": "no"}}).encode()
            with lock:
                server.busy -= 1
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args):
            pass

    class Quiet(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request, client_address):
            pass  # A client that was killed.

    http = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
