"""The tables of a profile store, and how an older file becomes a newer one."""

from __future__ import annotations

APPLICATION_ID = 0x706C7573  # "plus": what tells our file from another program's.

FIRST = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE users(
    number        INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, so who returns is another one
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
    content    TEXT NOT NULL,     -- JSON, see encoding.py
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

-- Who and what was forgotten, as salted hashes: a row here refuses every later write.
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

# Step n takes a file of version n to version n + 1.
MIGRATIONS = (FIRST,)
VERSION = len(MIGRATIONS)
