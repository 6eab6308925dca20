"""Users of a store and the tombstones of those who were forgotten: what every other part of a store builds on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, Self

from plus.errors import ForgottenError, UnknownUserError
from plus.profiles import ledger, schema
from plus.profiles.engine import Engine, connect
from plus.profiles.identity import fingerprint


class UserRow(NamedTuple):
    """Row of the table `users`."""

    number: int
    current: int
    newest: int
    next_sentence: int
    last_event: int
    read_upto: int
    paused: int = 0


class Users:
    """Store as far as users go: file, ids, tombstones. `Store` adds what is known about them."""

    def __init__(self, path: str | Path, create: bool = True, tell: Callable[[str], None] = lambda line: None) -> None:
        """Open a file or an address.

        tell: is told of users who were forgotten and were there again, and of ids that look like theirs.
        """
        file: Engine = connect(path, create)
        self.file = file
        # What the engine does is done on the store.
        self.place, self.sql = file.place, file.sql
        self.rows, self.row, self.do, self.do_many = file.rows, file.row, file.do, file.do_many
        self.transaction, self.snapshot, self.hold = file.transaction, file.snapshot, file.hold
        self.change_counter, self.close = file.change_counter, file.close
        self.tell, self.who = tell, ""  # who: of the log of actions, see actions.py
        if back := ledger.merge(file):
            tell(f"{back} forgotten users were there again and were taken out; plus doctor cleans the file")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def writable(self) -> bool:
        """True where this process may write the store."""
        return self.file.writable

    # Users

    def users(self) -> Iterator[str]:
        """Yield every user's id, in order of appearance."""
        return (user_id for (user_id,) in self.rows(self.sql.users))

    def user(self, user_id: str) -> UserRow:
        """Return a user's row. Raises UnknownUserError with the nearest ids, or ForgottenError."""
        if (found := self.find(user_id)) is not None:
            return found
        self.refuse_forgotten("user", user_id)
        near = self._nearest(user_id)
        raise UnknownUserError(
            f"the store holds no user {user_id!r}"
            + (f"; did you mean {', '.join(near)}?" if near else "; plus profile list shows who it holds")
        )

    def find(self, user_id: str) -> UserRow | None:
        """Return a user's row, or None for an unknown or a forgotten one, at the cost of one look.

        Inside a transaction nobody else changes the user before it ends.
        """
        if self.file.writing:
            self.hold([user_id])
        found = self.row(self.sql.find_user + (self.sql.lock if self.file.writing else ""), (user_id,))
        return None if found is None else UserRow(*found)

    def user_id(self, number: int) -> str | None:
        """Return the id of the user with a number; None where there is none: a number is never given twice."""
        found = self.row(self.sql.user_numbered, (number,))
        return None if found is None else str(found[0])

    def number(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Return the number that a statement counts or gives."""
        found = self.row(sql, values)
        return int(found[0]) if found else 0

    def enrol(self, user_id: str) -> int:
        """Return a user's number, adding the user if need be. The caller has looked for a tombstone."""
        found = self.find(user_id)
        return found.number if found is not None else self.add_user(user_id)

    def add_user(self, user_id: str) -> int:
        """Add a user who is not there; returns the number. The caller has looked for a tombstone."""
        schema.checked(user_id, "a user's id")
        if self.is_forgotten("spelling", ledger.spelling(user_id)):
            self.tell(
                f"look at {user_id!r}: a forgotten user's id is spelled like it; plus forget it, if they are one person"
            )
        return self.file.add_user(user_id)

    def _nearest(self, user_id: str) -> list[str]:
        size = len(user_id)
        alike = self.rows(self.sql.users_of_length, (size - 3, size + 3))
        return get_close_matches(user_id, [found for (found,) in alike], 3)

    # Tombstones: written by forget.py

    @property
    def salt(self) -> bytes:
        """Return the random salt of this store, which keys the hashes of names."""
        return self.file.secrets[0]

    def fingerprint(self, kind: str, *names: str) -> str:
        """Hash names with the store's salt: the form in which a tombstone holds them."""
        return fingerprint(self.salt, kind, *names)

    def is_forgotten(self, kind: str, *names: str) -> bool:
        """Look for a tombstone of a user, a conversation or an event, or of another spelling."""
        if kind == "user" and self.file.writing:  # So that nobody forgets the user between this look and a write.
            self.hold(names)
        hashes = (fingerprint(secret, kind, *names) for secret in self.file.secrets)
        return any(self.row(self.sql.tombstone, (kind, one)) is not None for one in hashes)

    def refuse_forgotten(self, kind: str, *names: str) -> None:
        """Raise ForgottenError if there is a tombstone."""
        if self.is_forgotten(kind, *names):
            raise ForgottenError(
                f"this {kind} was forgotten and nothing of it may be written again: {names[-1]!r}; "
                "if they came back, plus forget --lift"
            )

    def lift(self, marks: Sequence[tuple[str, str]]) -> bool:
        """Take tombstones away, of (kind, hash) each; false where the first was not there."""
        with ledger.undone(self.file.ledger), self.transaction():
            found = [self.do(self.sql.drop_tombstone, mark) for mark in marks]
            if found[0]:
                ledger.append(self.file.ledger, self.salt, [(*mark, 0.0) for mark in marks])
            return found[0] > 0

    def forgotten(self) -> int:
        """Count the tombstones."""
        return self.number(self.sql.forgotten)
