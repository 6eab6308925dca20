"""Personal data that can be told by its shape, replaced by its kind. Names and places cannot."""

from __future__ import annotations

import re
from collections import Counter

_KINDS = (
    ("email", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("url", re.compile(r"\bhttps?://[^\s<>\"]{1,2000}", re.IGNORECASE)),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("ip", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", re.IGNORECASE)),
    ("card", re.compile(r"\b\d(?:[ -]?\d){12,18}\b")),
    ("national_id", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    ("phone", re.compile(r"(?<![\w.])(?:\+|00)\d(?:[ ()/.-]{0,2}\d){6,13}\b|(?<![\w.])\(?0\d{1,4}\)?[ /-](?:[ ()/.-]{0,2}\d){5,10}\b|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b")),
)  # fmt: skip


def redact(text: str, found: Counter[str] | None = None) -> str:
    """`text` with "[email]" and the like in place of personal data; `found` counts them by kind."""
    for kind, pattern in _KINDS:
        if kind == "card":
            text = pattern.sub(lambda m: _count(f"[{kind}]", found) if _luhn(m.group()) else m.group(), text)  # noqa: B023
        else:
            text = pattern.sub(lambda m: _count(f"[{kind}]", found), text)  # noqa: B023
    return text


def _count(label: str, found: Counter[str] | None) -> str:
    if found is not None:
        found[label[1:-1]] += 1
    return label


def _luhn(number: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in number if digit.isdigit()][::-1]
    return sum(d if place % 2 == 0 else sum(divmod(2 * d, 10)) for place, d in enumerate(digits)) % 10 == 0
