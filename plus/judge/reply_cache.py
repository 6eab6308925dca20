"""Cache of models' replies in a file: a question that was asked once is never sent again.

One JSON line a reply, with the question as it was sent, so that judgments can be read, checked and scored
anew for nothing. Lines carry the user they are about, so that `plus forget` finds them in a run folder.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plus.errors import SlowReplyError, SourceError
from plus.serve.endpoint import Endpoint
from plus.types import Message, Writer

if TYPE_CHECKING:
    import httpx2


TIMEOUT = 60.0  # seconds for one reply


class Replies:
    """Replies in the JSONL file at `path`, continued or made with the first reply, readable by its owner alone.

    `sent` counts the requests sent now, `known` the replies that the file held, `slow` those that did not come in time:
    they are "", which is no judgment, and are not kept. A last line that a crash cut off is
    dropped. Raises SourceError for a file of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.sent, self.known, self.slow = path, 0, 0, 0
        self._lock = threading.Lock()
        self._replies: dict[str, str] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # A crash may have cut the last line off.
        whole = text[: text.rfind("\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                self._replies[row["key"]] = row["reply"]
            except (ValueError, TypeError, KeyError):
                raise SourceError(f"{path} line {number} is no reply of a model; give another file") from None
        if whole != text:
            path.write_text(whole, encoding="utf-8")

    def of(self, writer: Writer, model: str, user_id: str) -> Writer:
        """Wrap a Writer, known as `model`, for questions about one user: it sends only those new to the file."""
        return _Remembering(self, writer, model, user_id)

    def reply(self, writer: Writer, model: str, user_id: str, messages: Sequence[Message]) -> str:
        """Return the reply that the file holds, or the writer's, which is written down first."""
        # The key covers the model, the user and every word that is sent.
        row: dict[str, Any] = {"user_id": user_id, "model": model, "messages": list(messages)}
        key = hashlib.sha256(json.dumps(row, ensure_ascii=True, sort_keys=True).encode()).hexdigest()[:32]
        # The lock is not held while the model is asked: others may ask meanwhile.
        with self._lock:
            if key in self._replies:
                self.known += 1
                return self._replies[key]
        try:
            text = writer.complete(messages)
        except SlowReplyError:  # One slow reply costs one judgment, not the run.
            with self._lock:
                self.slow += 1
            return ""
        with self._lock:
            self._append({"key": key, **row, "reply": text})
            self._replies[key] = text
            self.sent += 1
        return text

    def _append(self, row: Mapping[str, Any]) -> None:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=True) + "\n")


def endpoint_writers(
    base_url: str, model: str, max_tokens: int, replies: Replies | None = None,
    http_client: httpx2.Client | None = None, timeout: float = TIMEOUT,
) -> Callable[[str], Writer]:  # fmt: skip
    """Make the function user id -> Writer of a model behind an endpoint, with its replies kept where a cache is given.

    Raises EndpointError as plus.serve.endpoint.make_client.
    """
    endpoint = Endpoint(base_url, model, max_tokens=max_tokens, timeout=timeout, http_client=http_client)
    if replies is None:
        return lambda user_id: endpoint
    return lambda user_id: replies.of(endpoint, f"{model}, {max_tokens} tokens", user_id)


class _Remembering:
    def __init__(self, replies: Replies, writer: Writer, model: str, user_id: str) -> None:
        self._replies, self._writer, self._model, self._user_id = replies, writer, model, user_id

    def complete(self, messages: Sequence[Message]) -> str:
        return self._replies.reply(self._writer, self._model, self._user_id, messages)
