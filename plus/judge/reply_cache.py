"""What models replied, kept in a file: a question that was asked once is never sent again.

One JSON line a reply, with the question as it was sent, so that judgments can be read, checked and scored
anew for nothing. Lines carry the user they are about, so that `plus forget` finds them in a run folder.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.types import Message, Writer


class Replies:
    """The replies in the JSONL file at `path`, which is made or continued. `sent` counts what was asked now,
    `known` what the file held already.

    A last line that a crash cut off is dropped. Raises SourceError for a file that is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.sent, self.known = path, 0, 0
        self._lock = threading.Lock()
        self._replies: dict[str, str] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
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
        """A Writer that asks `writer`, known as `model`, about one user only what the file does not hold."""
        return _Remembering(self, writer, model, user_id)

    def reply(self, writer: Writer, model: str, user_id: str, messages: Sequence[Message]) -> str:
        """The reply that the file holds, or the writer's, written down before it is returned."""
        row: dict[str, Any] = {"user_id": user_id, "model": model, "messages": list(messages)}
        key = hashlib.sha256(json.dumps(row, ensure_ascii=True, sort_keys=True).encode()).hexdigest()[:32]
        with self._lock:
            if key in self._replies:
                self.known += 1
                return self._replies[key]
        text = writer.complete(messages)
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **row, "reply": text}, ensure_ascii=True) + "\n")
            self._replies[key] = text
            self.sent += 1
        return text


class _Remembering:
    def __init__(self, replies: Replies, writer: Writer, model: str, user_id: str) -> None:
        self._replies, self._writer, self._model, self._user_id = replies, writer, model, user_id

    def complete(self, messages: Sequence[Message]) -> str:
        return self._replies.reply(self._writer, self._model, self._user_id, messages)
