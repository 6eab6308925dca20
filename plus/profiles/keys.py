"""Keys of a store on a database server: one for each user, in a file outside the database.

Whoever has the database alone, its backups or its log, reads no text of it. A user is forgotten for good when the key
is overwritten here: then no old backup of the database can be read for that user any more.

    4,096 bytes of JSON: {"format", "store", "secrets"}, then 32 bytes for each user's number
    zeros: no key was made, as in a copy from before the user came; DESTROYED: whoever it was is forgotten
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from plus.errors import DiskError, ProfileError

FORMAT = "plus-keys/1"
_HEAD, _SIZE = 4096, 32  # bytes of the head and of a key, which is for AES-128-SIV
DESTROYED = b"\xff" * _SIZE


def folder() -> Path:
    """Return the folder of key files: PLUS_KEYS, or `keys` in your data folder."""
    from platformdirs import user_data_path

    given = os.environ.get("PLUS_KEYS")
    return Path(given) if given else user_data_path("plus", appauthor=False) / "keys"


class KeyFile:
    """Key file of one store. Many processes may use it at once: each key has its own place."""

    def __init__(self, store: str) -> None:
        """Open the file of a store's id. Raises ProfileError where it is not in the folder, or is another file."""
        self.path = folder() / f"{store}.keys"
        self.writable = os.access(self.path, os.W_OK)
        try:
            self._file = os.open(self.path, os.O_RDWR if self.writable else os.O_RDONLY)
        except OSError as error:
            raise ProfileError(
                f"the keys of this store cannot be opened: {self.path} ({error.strerror}); its texts are sealed with "
                "them, so set PLUS_KEYS to the folder that holds this file"
            ) from error
        self._dirty = False
        try:
            head = json.loads(os.pread(self._file, _HEAD, 0))
            found = head["format"], head["store"]
            self.secrets: tuple[bytes, ...] = tuple(map(bytes.fromhex, head["secrets"]))
        except (ValueError, KeyError, TypeError):
            found = ("", "")
        if found != (FORMAT, store):
            self.close()
            raise ProfileError(f"{self.path} is no key file of this store; put a copy of it back")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def key(self, number: int) -> bytes | None:
        """Return a user's key, DESTROYED, or None where none was made."""
        found = os.pread(self._file, _SIZE, _HEAD + _SIZE * number)
        return found if len(found) == _SIZE and any(found) else None

    def add(self, number: int) -> None:
        """Make a key, on disk after `sync`."""
        self._write(_HEAD + _SIZE * number, secrets.token_bytes(_SIZE))
        self._dirty = True

    def sync(self) -> None:
        """Bring new keys to the disk: before the rows that they seal are there for good."""
        if self._dirty:
            os.fsync(self._file)
            self._dirty = False

    def destroy(self, numbers: Iterable[int]) -> None:
        """Overwrite keys, on disk when this returns."""
        for number in numbers:
            self._write(_HEAD + _SIZE * number, DESTROYED)
        os.fsync(self._file)

    def take_secrets(self, taken: Sequence[bytes]) -> None:
        """Key the hashes of names as the store does that is copied here."""
        self.secrets = tuple(taken)
        store = self.path.stem
        self._write(0, _head(store, self.secrets))
        os.fsync(self._file)

    def _write(self, place: int, content: bytes) -> None:
        try:
            os.pwrite(self._file, content, place)
        except OSError as error:
            raise DiskError(
                f"{self.path} cannot be written ({error.strerror}); nothing was changed, make room or give permission",
                str(error.strerror),
            ) from error


def create(store: str) -> None:
    """Make the key file of a new store, readable by its owner only. Raises DiskError."""
    path = folder() / f"{store}.keys"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(_head(store, [secrets.token_bytes(16)]))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DiskError(
            f"{path} cannot be written ({error.strerror}); it is to hold the keys of the new store, so set PLUS_KEYS "
            "to a folder where that can be",
            str(error.strerror),
        ) from error


def _head(store: str, taken: Sequence[bytes]) -> bytes:
    head = {"format": FORMAT, "store": store, "secrets": [secret.hex() for secret in taken]}
    return json.dumps(head).encode().ljust(_HEAD)
