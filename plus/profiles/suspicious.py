"""What in a summary deserves a second look before it is sent to a model. It stays text in any case."""

from __future__ import annotations

import re

from plus.prompts import escape

_LINE_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ORDERS = re.compile(
    r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|prior|above|earlier|instructions?|rules|prompts?)\b"
    r"|\bsystem prompt\b|\byou are now\b|\bdo not tell the user\b|\bjailbreak",
    re.IGNORECASE | re.DOTALL,
)
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")


def flags(text: str) -> list[str]:
    """ "role_marker" (it looks like a chat turn), "instruction" (it gives a model orders), "invisible"
    (marks that nobody sees, which emoji and right-to-left scripts use too)."""
    found = []
    if escape(text) != _LINE_BREAKS.sub("\n", text):
        found.append("role_marker")
    if _ORDERS.search(text):
        found.append("instruction")
    if not text.isascii() and _INVISIBLE.search(text):
        found.append("invisible")
    return found
