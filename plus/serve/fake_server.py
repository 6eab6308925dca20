"""Stand-in for a model, to try everything without one: `python -m plus.serve.fake_server [PORT]`.

It speaks the Chat Completions protocol on this machine and follows the three rules of `reply`: it is no language
model, and measurements with it say nothing about one.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from plus.prompts import FENCE, INSTRUCTION, JUDGES
from plus.types import Message

_LIKED = re.compile(r"likes (\w+) best", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{3,}")
_SIDES = re.compile(r"^(Chosen|Rejected): (.*)$", re.MULTILINE)
_ANSWERS = re.compile(r"Answer A:\n(.*?)\n\nAnswer B:\n(.*)", re.DOTALL)


def reply(messages: Sequence[Message]) -> str:
    """Reply by three rules: a summary names the word chosen most and never rejected; a verdict takes the answer that
    names the user's favourite; any other answer names the favourite where a profile states it."""
    # A profile stands between fences in the system message, a request for a summary or a verdict in known words.
    asked, everything = messages[-1]["content"], "\n".join(message["content"] for message in messages)
    if asked.endswith(INSTRUCTION):
        return _summary(asked)
    if messages[0]["content"] in JUDGES.values():
        return _verdict(asked)
    liked = _LIKED.search(everything.split(FENCE[0])[-1]) if FENCE[0] in everything else None
    return f"Here is an idea with {liked[1]}." if liked else "Here is an idea that suits most people."


def _summary(asked: str) -> str:
    words: dict[str, Counter[str]] = {"Chosen": Counter(), "Rejected": Counter()}
    for side, text in _SIDES.findall(asked):
        words[side].update(set(_WORD.findall(text.lower())))
    found = [word for word, _ in words["Chosen"].most_common() if word not in words["Rejected"]]
    return f"The user likes {found[0]} best." if found else "The user said nothing about their taste."


def _verdict(asked: str) -> str:
    liked, answers = _LIKED.search(asked), _ANSWERS.search(asked)
    first, second = answers.groups() if answers else ("", "")
    named = [liked is not None and liked[1].lower() in answer.lower() for answer in (first, second)]
    return "TIE" if named[0] == named[1] else "A" if named[0] else "B"


@contextmanager
def serving(port: int = 0) -> Iterator[str]:
    """Serve until the block ends, and yield the address; port 0 takes a free one."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.daemon_threads = True  # An open stream does not keep the process alive.
    threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(
            {"object": "list", "data": [{"id": "stand-in", "object": "model", "created": 0, "owned_by": "plus"}]}
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = reply(body["messages"])
        made = {"id": "stand-in", "created": 0, "model": body["model"]}
        if body.get("stream"):
            return self._stream(made, text)
        message = {"role": "assistant", "content": text}
        choices = [{"index": n, "finish_reason": "stop", "message": message} for n in range(body.get("n") or 1)]
        self._send({**made, "object": "chat.completion", "choices": choices})

    def _stream(self, made: dict[str, Any], text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for word in re.findall(r"\S+\s*", text):
            choice = {"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}
            self._event({**made, "object": "chat.completion.chunk", "choices": [choice]})
        self._event(
            {**made, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        )
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())

    def _send(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        pass  # What was asked is about people.


if __name__ == "__main__":
    with serving(int(sys.argv[1]) if len(sys.argv) > 1 else 8000) as address:
        print(f"listening on {address}; Ctrl-C ends it")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()
