"""Summaries as an app keeps them, and the profile that a request was sent with."""

from __future__ import annotations

import json

from plus.prompts import FENCE
from plus.types import Summary

KEY = "sk-test-0123456789abcdef"


class Known(dict):
    """Summaries by user id, as any app may keep them."""

    def summary(self, user_id):
        return Summary(user_id, self[user_id]) if user_id in self else None


def profile_of(body: dict) -> str:
    """What stands between the fences of a request, which has one profile at most."""
    text = json.dumps([body.get("messages"), body.get("instructions"), body.get("input")], ensure_ascii=False)
    _, *rest = text.split(FENCE[0] + "\\n")
    assert len(rest) <= 1
    return rest[0].split("\\n" + FENCE[1])[0] if rest else ""
