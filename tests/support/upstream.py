"""A real HTTP server that speaks both protocols of OpenAI's, and misbehaves when the model's name says so."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ["Tea", " is", " fine", "."]


@dataclass
class Upstream:
    """Where it listens and what it was asked: bodies and headers, in order of arrival."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)  # what it says next, in place of its own words
    unfinished: int = 0  # streams whose reader went away

    def forget(self) -> None:
        """Forget what it was asked, so that the next test sees its own requests alone."""
        for kept in (self.asked, self.headers, self.paths, self.raw):
            kept.clear()


def completion(body: dict) -> dict:
    message = {"role": "assistant", "content": '{"tea": "green"}' if body.get("response_format") else "".join(WORDS)}
    if body.get("tools"):
        call = {"id": "c1", "type": "function", "function": {"name": "brew", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}


def response(body: dict, status: str = "completed") -> dict:
    part = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}
    return {
        "id": "r1", "object": "response", "created_at": 0, "status": status, "model": body["model"], "tools": [],
        "output": [message], "parallel_tool_calls": True, "tool_choice": "auto",
    }  # fmt: skip


def chunks(body: dict) -> list[dict]:
    def chunk(delta: dict, finish: str | None = None) -> dict:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {
            "id": "x", "object": "chat.completion.chunk", "created": 0, "model": body["model"], "choices": [choice],
        }  # fmt: skip

    return [chunk({"role": "assistant"}), *(chunk({"content": word}) for word in WORDS), chunk({}, "stop")]


def events(body: dict) -> list[dict]:
    made: list[dict] = [{"type": "response.created", "response": response(body, "in_progress") | {"output": []}}]
    made.append(
        {"type": "response.output_item.added", "output_index": 0, "item": response(body)["output"][0] | {"content": []}}
    )
    made.append(
        {
            "type": "response.content_part.added",
            "item_id": "m1",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []},
        }
    )
    made += [
        {"type": "response.output_text.delta", "item_id": "m1", "output_index": 0, "content_index": 0, "delta": word,
         "logprobs": []}
        for word in WORDS
    ]  # fmt: skip
    made.append({"type": "response.completed", "response": response(body)})
    return [event | {"sequence_number": number} for number, event in enumerate(made)]


def refusal(body: dict) -> tuple[int, str]:
    """(status, message), status 200 for none: models by name refuse a field, a role, or everything."""
    model, roles = body["model"], [message.get("role") for message in body.get("messages", [])]
    if "window" in model and len(json.dumps(body)) > 250:
        return 400, "the request exceeds the available context size, try increasing it"
    if "mute" in model and {"safety_identifier", "prompt_cache_key"} & body.keys():
        return 400, "Bad Request"
    if "no-ids" in model and "safety_identifier" in body:
        return 400, "Unrecognized request argument supplied: safety_identifier"
    if "strict" in model and (extra := [name for name in ("safety_identifier", "prompt_cache_key") if name in body]):
        return 422, f"Extra inputs are not permitted: {', '.join(extra)}"
    if "thinks" in model and "max_tokens" in body:
        return 400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
    if "thinks" in model and "temperature" in body:
        return 400, "Unsupported value: 'temperature' does not support 0 with this model."
    if "no-schema" in model and "response_format" in body:
        return 400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
    if "no-developer" in model and "developer" in roles:
        return 400, "Unexpected role 'developer', expected one of system, user, assistant"
    if "no-system" in model and {"system", "developer"} & set(roles):
        return 400, f"{roles[0].capitalize()} role not supported"
    status = next((int(word) for word in model.split("-") if word.isdigit() and len(word) == 3), 200)
    return status, "out of order"


@contextmanager
def upstream() -> Iterator[Upstream]:
    """One that runs until the block ends."""
    server, lock, limited = Upstream(), threading.Lock(), set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        disable_nagle_algorithm = True

        def do_GET(self):
            server.paths.append(self.path)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.reply(
                200, {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "us"}]}
            )

        def do_POST(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            is_json = self.headers.get("Content-Type", "").startswith("application/json")
            body = json.loads(raw) if is_json else {}
            body.setdefault("model", "m")
            with lock:
                server.asked.append(body)
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                server.paths.append(self.path)
                server.raw.append(raw)
                first = body["model"] not in limited
                limited.add(body["model"])
            if "wait" in body["model"] and self.is_left():
                return None
            if not any(self.path.partition("?")[0].endswith(end) for end in ("/chat/completions", "/responses")):
                return self.other(body)
            if "slow" in body["model"]:
                time.sleep(0.5)
            if "limited" in body["model"] and first:
                return self.reply(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.2"})
            status, message = refusal(body)
            if "chat-only" in body["model"] and not self.path.endswith("/chat/completions"):
                status, message = 404, "Not Found"
            if status != 200:
                return self.reply(status, {"error": {"message": message, "type": "x", "param": None, "code": None}})
            chat = self.path.partition("?")[0].endswith("/chat/completions")
            if body.get("stream"):
                return self.stream(body, chunks(body) if chat else events(body), chat)
            if "malformed" in body["model"]:
                return self.send(200, b'{"id": "x", "choices": [', "application/json")
            made = completion(body) if chat else response(body)
            if chat and server.answers:
                made["choices"][0]["message"]["content"] = server.answers.pop(0)
            self.reply(200, made)

        def is_left(self) -> bool:
            """Wait for at most five seconds; true where the caller left meanwhile."""
            self.connection.settimeout(5)
            try:
                left = not self.connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                return False
            except OSError:
                left = True
            with lock:
                server.unfinished += left
            self.close_connection = True
            return left

        def other(self, body):
            """Any other route: what it was, and headers that pass and that do not."""
            headers = {"X-Request-Id": "r7", "X-Own": "kept", "Set-Cookie": "no=1", "Openai-Processing-Ms": "12"}
            self.reply(200, {"path": self.path, "object": "list", "data": []}, headers)

        def stream(self, body, items, chat):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for number, item in enumerate(items):
                    if "cut" in body["model"] and number == 3:
                        self.close_connection = True
                        self.connection.shutdown(2)
                        return
                    text = json.dumps(item) if "malformed" not in body["model"] else '{"id": '
                    self.chunk((f"data: {text}" if chat else f"event: {item['type']}\ndata: {text}") + "\n\n")
                    time.sleep(0.3 if "drip" in body["model"] else 0)
                if chat:
                    self.chunk("data: [DONE]\n\n")
                self.chunk("")
            except OSError:
                with lock:
                    server.unfinished += 1
                self.close_connection = True

        def chunk(self, text):
            data = text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def reply(self, status, value, headers=None):
            self.send(status, json.dumps(value).encode(), "application/json", headers)

        def send(self, status, data, kind, headers=None):
            try:
                self.send_response(status)
                for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def log_message(self, *arguments):
            pass

    class Quiet(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # A client that went away.

    http = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    threading.Thread(target=http.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
