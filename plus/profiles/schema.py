"""Schema of a profile store in SQLite: its tables and migrations, and the JSON of an event's content."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from plus.errors import ProfileError
from plus.profiles.identity import likeness
from plus.types import Event, Preference, Reaction, Turn

APPLICATION_ID = 0x706C7573  # "plus" in ASCII, in SQLite's header: tells our file from another program's.

FIRST = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE users(
    number        INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: a user who returns gets another
    user_id       TEXT NOT NULL UNIQUE,
    current       INTEGER NOT NULL DEFAULT 0,  -- the version that is shown; 0: none
    newest        INTEGER NOT NULL DEFAULT 0,  -- the highest version ever given
    next_sentence INTEGER NOT NULL DEFAULT 1,
    last_event    INTEGER NOT NULL DEFAULT 0,  -- the newest event that a summary may read
    read_upto     INTEGER NOT NULL DEFAULT 0   -- the newest one that a summary has read
);

CREATE TABLE events(
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    user       INTEGER NOT NULL REFERENCES users(number),
    event_id   TEXT NOT NULL,
    session_id TEXT NOT NULL,
    kind       TEXT NOT NULL,
    time       REAL,
    source     TEXT NOT NULL,
    content    TEXT NOT NULL,     -- JSON, see encode_event
    held_out   INTEGER NOT NULL,  -- 1: never read by a summarizer, so that summaries can be scored on it
    UNIQUE(user, event_id)
);
CREATE INDEX events_session ON events(session_id) WHERE session_id <> '';

CREATE TABLE versions(
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    user      INTEGER NOT NULL REFERENCES users(number),
    version   INTEGER NOT NULL,
    text      TEXT NOT NULL,
    sentences TEXT NOT NULL,  -- JSON: [id, start, end, origin, since version] of each
    origin    TEXT NOT NULL CHECK(origin IN ('model', 'user')),
    model     TEXT NOT NULL,
    run       TEXT NOT NULL,  -- hash of the run folder's configuration
    created   REAL NOT NULL,
    evidence  TEXT NOT NULL,  -- JSON: ids of the events that were read
    score     TEXT NOT NULL,  -- JSON, or ''
    note      TEXT NOT NULL,
    UNIQUE(user, version)
);

CREATE TABLE rules(
    user INTEGER NOT NULL REFERENCES users(number),
    kind TEXT NOT NULL CHECK(kind IN ('lock', 'forbid', 'removed')),
    text TEXT NOT NULL,
    PRIMARY KEY(user, kind, text)
) WITHOUT ROWID;

-- Forgotten users, conversations and events as salted hashes: a row here refuses every later write.
CREATE TABLE tombstones(
    kind    TEXT NOT NULL CHECK(kind IN ('user', 'conversation', 'event')),
    hash    TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY(kind, hash)
) WITHOUT ROWID;

-- A forget whose files are not yet cleaned; the row goes when they are.
CREATE TABLE unfinished(number INTEGER PRIMARY KEY, work TEXT NOT NULL);

CREATE TABLE runs(folder TEXT PRIMARY KEY, run TEXT NOT NULL, model TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE exports(
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    path     TEXT NOT NULL,
    partial  TEXT NOT NULL,
    process  INTEGER NOT NULL,
    users    TEXT NOT NULL,  -- JSON list of their hashes, or '' for all
    started  REAL NOT NULL,
    finished REAL
);
"""

# What happened is one event, whatever file or program it came through.
IDENTITY = """
ALTER TABLE events ADD COLUMN likeness INTEGER NOT NULL DEFAULT 0;  -- hash of user and content, see Identity
UPDATE events SET likeness = likeness(users.user_id, events.kind, events.content)
FROM users WHERE users.number = events.user;
CREATE INDEX events_likeness ON events(user, likeness);
UPDATE events SET held_out = 0 WHERE held_out AND EXISTS (
    SELECT 1 FROM events other
    WHERE other.user = events.user AND other.likeness = events.likeness AND NOT other.held_out
);
"""

# Receipts, changes since a moment, pauses, and a hash of each version and the one before.
RIGHTS = """
ALTER TABLE users ADD COLUMN changed REAL NOT NULL DEFAULT 0;    -- when text, rules or pause last changed
ALTER TABLE users ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;  -- 1: kept and not used
UPDATE users SET changed = coalesce((SELECT max(created) FROM versions WHERE versions.user = users.number), 0);
CREATE INDEX users_changed ON users(changed);
ALTER TABLE versions ADD COLUMN chain TEXT NOT NULL DEFAULT '';  -- hash of the version and of the chain before it
CREATE TABLE receipts(
    number  INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    created REAL NOT NULL
);
ALTER TABLE tombstones RENAME TO old_tombstones;
CREATE TABLE tombstones(
    kind    TEXT NOT NULL,  -- user, spelling, conversation or event
    hash    TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY(kind, hash)
) WITHOUT ROWID;
INSERT INTO tombstones SELECT * FROM old_tombstones;
DROP TABLE old_tombstones;
"""

# Pauses of single sentences, rules for all users, and who changed what.
CONTROL = """
CREATE TABLE new_rules(
    user INTEGER NOT NULL REFERENCES users(number),
    kind TEXT NOT NULL,  -- lock, forbid, removed or paused
    text TEXT NOT NULL,
    PRIMARY KEY(user, kind, text)
) WITHOUT ROWID;
INSERT INTO new_rules SELECT user, kind, text FROM rules;
DROP TABLE rules;
ALTER TABLE new_rules RENAME TO rules;
CREATE TABLE bans(words TEXT PRIMARY KEY) WITHOUT ROWID;  -- in no summary of anybody
CREATE TABLE actions(
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    time    REAL NOT NULL,
    who     TEXT NOT NULL,     -- as --as says, or ''
    verb    TEXT NOT NULL,
    user    INTEGER NOT NULL,  -- users.number, which is never given twice; 0: none, or several
    subject TEXT NOT NULL,     -- the user's hash, as in receipts
    what    TEXT NOT NULL      -- ids and counts, never a text about anybody
);
CREATE INDEX actions_subject ON actions(subject);
"""

# Step n takes a file of version n to version n + 1.
MIGRATIONS = (FIRST, IDENTITY, RIGHTS, CONTROL)
VERSION = len(MIGRATIONS)

DAMAGED = "this store is damaged: a row holds something else than plus wrote; plus doctor says whose, put a copy back"
# One encoder for all events: json.dumps with options builds one a call.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_event(event: Event) -> str:
    """Encode the content of an event as JSON, equal for equal content. Raises ProfileError for invalid Unicode."""
    earlier: tuple[Turn, ...] = ()
    # Short keys of the fields, or for turns [[role, content], ...].
    match event.content:
        case Preference(prompt, chosen, rejected, earlier):
            value: Any = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        case Reaction(prompt, completion, label, earlier):
            value = {"prompt": prompt, "completion": completion, "label": label}
        case str(text):
            value = text
        case turns:
            # Text by text, for which the encoder has a quicker way.
            texts = [f"[{_encode(turn.role)},{_encode(turn.content)}]" for turn in turns]
            return checked(f"[{','.join(texts)}]", f"event {event.id!r}")
    if earlier:
        value["earlier"] = [[turn.role, turn.content] for turn in earlier]
    return checked(_encode(value), f"event {event.id!r}")


def decode_content(text: str) -> Preference | Reaction | str | tuple[Turn, ...]:
    """Decode what `encode_event` wrote. Raises ProfileError for damage."""
    # The shape says what it is: text, turns, a choice or a reaction.
    value = parsed(text)
    if isinstance(value, str):
        return value
    try:
        if isinstance(value, list):
            return tuple(Turn(role, content) for role, content in value)
        earlier = tuple(Turn(role, content) for role, content in value.pop("earlier", ()))
        return Preference(**value, earlier=earlier) if "chosen" in value else Reaction(**value, earlier=earlier)
    except (TypeError, ValueError, AttributeError):
        raise ProfileError(DAMAGED) from None


def parsed(text: str) -> Any:
    """Parse JSON that a store holds. Raises ProfileError for damage."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise ProfileError(DAMAGED) from None


def checked(text: str, place: str) -> str:
    """Return `text` unchanged if it can be written as UTF-8. Raises ProfileError that names `place`."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ProfileError(
                f"{place} is no valid Unicode at character {error.start}; mend it at its source"
            ) from None
    return text


def register(connection: sqlite3.Connection) -> None:
    """Give SQL the function likeness(user, kind, content), which a migration needs."""

    def of_row(user: str, kind: Any, content: str) -> int:
        return likeness(user, Event("", kind, decode_content(content)))

    connection.create_function("likeness", 3, of_row)
