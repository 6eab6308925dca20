"""Programs that may use a proxy: their tokens, the users and routes they may ask about, as a file says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plus.errors import SettingError

USER_HEADER = "x-plus-user"
TOKEN_LENGTH = 16  # characters, at least
# First words of the paths that are handed on: what a model's server answers, and neither files nor administration.
ROUTES = frozenset(
    ("audio", "chat", "completions", "conversations", "embeddings", "images", "messages", "models", "moderations",
     "rerank", "responses", "tokenize", "detokenize")
)  # fmt: skip


@dataclass(frozen=True)
class Access:
    """Programs that may use a proxy, and what they may ask.

    tokens: SHA-256 of an app's token -> the app's name; without any, every program that reaches the port may. users:
    app -> the only users it may name. user_headers: names of headers that name the user, beside X-Plus-User. routes:
    first words of paths that are handed on. origins: web pages whose scripts may ask. max_requests: at once.
    """

    tokens: Mapping[bytes, str] = field(default_factory=dict)
    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    user_headers: tuple[str, ...] = ()
    routes: frozenset[str] = ROUTES
    origins: tuple[str, ...] = ()
    max_requests: int = 500

    @property
    def header_names(self) -> frozenset[bytes]:
        """Names of the headers that name the user, as they arrive."""
        return frozenset(name.lower().encode() for name in (USER_HEADER, *self.user_headers))

    def app_of(self, token: str) -> str | None:
        """Return the name of the app with a token, "-" where none is needed."""
        # Hashes are looked up, so that the time it takes says nothing about the token.
        return self.tokens.get(hashlib.sha256(token.encode()).digest()) if self.tokens else "-"


def read_tokens(path: Path) -> tuple[dict[bytes, str], dict[str, frozenset[str]]]:
    """Read lines NAME TOKEN [USER,USER...]; returns SHA-256 of a token -> app, and app -> the only users it may name.

    Raises SettingError, which shows no token.
    """
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    tokens: dict[bytes, str] = {}
    users: dict[str, frozenset[str]] = {}
    for number, words in enumerate(lines, 1):
        if len(words) not in (2, 3) or len(words[1]) < TOKEN_LENGTH:  # The line itself is a secret.
            raise SettingError(
                f"entry {number} of {path} is not NAME TOKEN [USER,USER] with a token of 16 characters or more"
            )
        name, hashed = words[0], hashlib.sha256(words[1].encode()).digest()
        if tokens.get(hashed, name) != name:
            raise SettingError(
                f"entry {number} of {path} gives {name} the token of {tokens[hashed]}; give each its own"
            )
        tokens[hashed] = name
        if len(words) == 3:
            users[name] = users.get(name, frozenset()) | set(words[2].split(","))
    if not lines:
        raise SettingError(f"{path} holds no token; a line is NAME TOKEN")
    return tokens, users
