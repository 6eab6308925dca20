"""Memories of other assistants read in: dated sentences about one person, as programs print, take and keep them.

Lines `[date] - content` (as ChatGPT, Claude and Gemini print them for moving), Markdown without front matter
(`USER.md`, `MEMORY.md`, `human.md`), and JSON: Portable AI Memory 1.0 (PAM), Mem0's results, Letta's memory blocks,
Honcho's peer cards. `memory_files` writes them. What a file brings in is the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from plus.errors import ProfileError
from plus.profiles.versions import joined
from plus.sources.fields import UnusableError, seconds
from plus.types import Dropped

_LINE = re.compile(r"^\[(?P<date>[^\]\n]{1,40})\][ \t]*(?:-|\u2013|\u2014|:)?[ \t]*(?P<text>\S.*)$")
_BULLET = re.compile(r"^[ \t]*(?:[-*+\u2022]|\d{1,4}[.)])[ \t]+")
_FENCE = re.compile(r"^[ \t]*(```|~~~)")


class Memory(NamedTuple):
    """Memory of another program: a sentence about a user. `user_id` is "" and `time` None where none is stated."""

    user_id: str
    text: str
    time: float | None = None


def memories_of_text(text: str, where: str, dropped: Dropped) -> list[Memory]:
    """Read dated lines, bullets or plain lines; headings, fences and rules of Markdown are counted and left out."""
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        bare = line.strip()
        if not bare:
            continue
        if bare.startswith("#") or _FENCE.match(bare) or set(bare) <= set("-=*_ "):
            dropped.add("lines that are headings or marks of Markdown", f"{where} line {number}")
            continue
        dated = _LINE.match(_BULLET.sub("", bare))
        content = dated["text"].strip() if dated else _BULLET.sub("", bare).strip()
        if content:
            found.append(Memory("", content, _moment(dated["date"], where, number, dropped) if dated else None))
    return found


def memories_of_json(value: Any, where: str, dropped: Dropped) -> list[Memory] | None:
    """Read the memories of a JSON document of another program; None for one of no known kind."""
    match value:
        # PAM 1.0: one owner, memories with their times.
        case {"schema": "portable-ai-memory", "memories": list(rows)}:
            owner = value.get("owner")
            user_id = str(owner.get("id") or "") if isinstance(owner, dict) else ""
            return list(_memory_rows(rows, "content", user_id, where, dropped))
        # Mem0: {"results": [...]} or the list alone.
        case {"results": list(rows)}:
            return list(_memory_rows(rows, "memory", "", where, dropped))
        case [{"memory": str()}, *_] as rows:
            return list(_memory_rows(rows, "memory", "", where, dropped))
        # Letta: blocks, of which "human" is about the user.
        case {"blocks": list(blocks)} | {"core_memory": list(blocks)}:
            about = [block for block in blocks if isinstance(block, dict) and block.get("label") == "human"]
            if others := len(blocks) - len(about):
                dropped.add("blocks of memory that are not about the user", where, others)
            return [one for block in about for one in memories_of_text(str(block.get("value") or ""), where, dropped)]
        # Honcho: the card of a peer.
        case {"peer_card": list(lines)}:
            peer = str(value.get("peer_id") or "")
            return [Memory(peer, line.strip()) for line in lines if isinstance(line, str) and line.strip()]
    return None


def gathered(memories: Iterable[Memory], user_id: str, where: str) -> Iterator[dict[str, Any]]:
    """Join each user's memories to one text; yields rows with the newest date as `created`, and all dates in the note.

    user_id: of memories that name nobody. Raises ProfileError when it is needed and not given.
    """
    of_user: dict[str, list[Memory]] = {}
    for memory in memories:
        of_user.setdefault(memory.user_id or user_id, []).append(memory)
    if "" in of_user:
        raise ProfileError(f"{where} does not say whose memories these are; say it with --user_id")
    for name, them in of_user.items():
        dated = {one_line(one.text): one.time for one in reversed(them)}
        texts = list(dict.fromkeys(one_line(one.text) for one in them))
        dates = ", ".join(iso(moment)[:10] if (moment := dated[text]) else "no date" for text in texts)
        yield {
            "user_id": name, "text": joined([_ended(text) for text in texts]),
            "created": max((one.time or 0.0 for one in them), default=0.0),
            "note": f"brought in from {where}" + (f"; dated {dates}" if any(dated.values()) else ""),
        }  # fmt: skip


def _memory_rows(rows: Iterable[Any], column: str, user_id: str, where: str, dropped: Dropped) -> Iterator[Memory]:
    for number, row in enumerate(rows, start=1):
        text = row.get(column) if isinstance(row, Mapping) else None
        if not isinstance(text, str) or not text.strip():
            dropped.add(f"memories without a {column!r}", f"{where} memory {number}")
            continue
        temporal = row.get("temporal")
        stated = temporal.get("created_at") if isinstance(temporal, dict) else row.get("created_at")
        owner = row.get("user_id")
        yield Memory(
            owner if isinstance(owner, str) else user_id, text.strip(), _moment(stated, where, number, dropped)
        )


def _moment(stated: Any, where: str, number: int, dropped: Dropped) -> float | None:
    if stated in (None, "", "no date"):
        return None
    try:
        return seconds(stated)[0]
    except UnusableError:
        dropped.add("dates that cannot be read; their memories are kept", f"{where} memory {number}")
        return None


def one_line(text: str) -> str:
    """Write a memory as one line; only where it has several is its white space changed."""
    return text if len(text.splitlines()) < 2 else " ".join(text.split())


def _ended(text: str) -> str:
    """A memory ends as a sentence, so that each one is a sentence of the summary."""
    return text if text[-1] in ".!?\u2026\u3002\uff01\uff1f\u061f\u0964" else f"{text}."


def iso(moment: float) -> str:
    """Write a moment as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
