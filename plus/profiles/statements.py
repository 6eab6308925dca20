"""SQL of a profile store, a named statement an operation, for SQLite and for PostgreSQL.

`Statements` holds what both engines run; `POSTGRES` below puts its own under the same name where they differ. A new
statement needs for both: `?` for each value; `SET column = ?`, `column = ?` or `INSERT INTO table(columns) VALUES (?)`
for a value that PostgreSQL is to seal (sealing.SEALED), with the user's number as `user = ?` beside it (in the table
users: `number`); truth values, and neither 0 nor 1, for columns such as `paused`. A new table or column goes into
schema.MIGRATIONS and postgres_schema.MIGRATIONS. tests/profiles/test_statements.py prepares every statement on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from plus.profiles.versions import COLUMNS

_OF_V = ", ".join(f"v.{name}" for name in COLUMNS.split(", "))
_ACTIONS = (
    "SELECT a.time, a.who, a.verb, u.user_id, a.subject, a.what FROM actions a LEFT JOIN users u ON u.number = a.user"
)


@dataclass(frozen=True)
class Statements:
    """Statement of each operation."""

    # Users
    users: str = "SELECT user_id FROM users ORDER BY number"
    numbers: str = "SELECT number, user_id FROM users"
    # A page of users: from a number (or from an id) on, with what a list of them shows.
    listed: str = (
        "SELECT u.number, u.user_id, u.current, u.paused, u.last_event > u.read_upto, v.text, v.origin, v.created, "
        "v.score, EXISTS(SELECT 1 FROM rules r WHERE r.user = u.number) OR v.sentences LIKE '%\"user\"%' "
        "FROM users u LEFT JOIN versions v ON v.user = u.number AND v.version = u.current WHERE "
    )
    listed_between: str = "u.number > ? AND u.number <= ? ORDER BY u.number"
    listed_by_id: str = "u.user_id >= ? AND u.user_id < ? AND u.user_id > ? ORDER BY u.user_id LIMIT ?"
    last_number: str = "SELECT coalesce(max(number), 0) FROM users"
    find_user: str = (
        "SELECT number, current, newest, next_sentence, last_event, read_upto, paused FROM users WHERE user_id = ?"
    )
    user_numbered: str = "SELECT user_id FROM users WHERE number = ?"
    first_users: str = "SELECT number, user_id FROM users ORDER BY number LIMIT 20000"
    named: str = ""  # users by the hashes of their names, where a store has those
    lock: str = ""  # after find_user, before a change: a transaction of SQLite has locked the whole file
    users_of_length: str = "SELECT user_id FROM users WHERE length(user_id) BETWEEN ? AND ? LIMIT 20000"
    add_user: str = "INSERT INTO users(user_id) VALUES (?) RETURNING number"
    stale_users: str = "SELECT user_id FROM users WHERE last_event > read_upto AND NOT paused ORDER BY number"
    note_events: str = (  # With +, SQLite reads the last rows and not all of an index that is in order of users.
        "UPDATE users SET last_event = new.number "
        "FROM (SELECT user, max(number) AS number FROM events WHERE number > ? AND NOT held_out GROUP BY +user) AS new "
        "WHERE users.number = new.user AND users.last_event < new.number"
    )
    note_read: str = "UPDATE users SET read_upto = ? WHERE number = ? AND read_upto < ?"
    unread: str = (
        "UPDATE users SET read_upto = 0, last_event = "
        "(SELECT coalesce(max(number), 0) FROM events WHERE user = ? AND NOT held_out) WHERE number = ?"
    )
    pause: str = "UPDATE users SET paused = ? WHERE number = ?"
    show: str = "UPDATE users SET current = ?, newest = ?, next_sentence = ? WHERE number = ?"
    hide: str = "UPDATE users SET current = 0 WHERE number = ?"
    note_change: str = (
        "UPDATE users SET changed = max(?, (SELECT coalesce(max(changed), 0) FROM users)) WHERE number = ?"
    )
    drop_user: str = "DELETE FROM users WHERE number = ?"

    # Events
    events: str = (
        "SELECT event_id, kind, time, session_id, source, content, held_out FROM events WHERE user = ? ORDER BY number"
    )
    count_read: str = "SELECT count(*) FROM events WHERE user = ? AND number <= ?"
    nth_event: str = "SELECT number FROM events WHERE user = ? ORDER BY number LIMIT 1 OFFSET ?"
    event_ids: str = "SELECT event_id FROM events WHERE user = ?"
    newest_event: str = "SELECT coalesce(max(number), 0) FROM events"
    event_like: str = (
        "SELECT 1 FROM events WHERE user = ?1 AND likeness = ?2 "
        "UNION ALL SELECT 1 FROM events WHERE user = ?1 AND event_id = ?3 LIMIT 1"
    )
    equal_events: str = "SELECT event_id, time, kind, held_out FROM events WHERE user = ? AND likeness = ?"
    event_named: str = "SELECT kind, content FROM events WHERE user = ? AND event_id = ?"
    add_event: str = (
        "INSERT INTO events(user, event_id, session_id, kind, time, source, content, held_out, likeness) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    drop_event: str = "DELETE FROM events WHERE user = ? AND event_id = ?"
    drop_conversation: str = "DELETE FROM events WHERE user = ? AND session_id = ?"
    drop_events: str = "DELETE FROM events WHERE user = ?"
    owners: str = (
        "SELECT DISTINCT u.user_id, u.number FROM events e JOIN users u ON u.number = e.user "
        "WHERE e.session_id = ? AND e.session_id <> '' ORDER BY u.number"
    )
    exchanges: str = (  # ids that are a stem and, after a dash, a talk
        "SELECT event_id FROM events WHERE user = ?1 AND event_id >= ?2 || '-' AND event_id < ?2 || '.' "
        "ORDER BY number DESC LIMIT 50"
    )
    talk_length: str = "SELECT count(*) FROM events WHERE user = ? AND session_id = ? AND kind = 'message'"

    # Versions
    summary: str = (
        "SELECT v.text, v.sentences, v.origin, v.model, v.created, v.evidence, r.text FROM users u JOIN versions v "
        "ON v.user = u.number AND v.version = u.current LEFT JOIN rules r ON r.user = u.number AND r.kind = 'paused' "
        "WHERE u.user_id = ? AND NOT u.paused"
    )
    version: str = f"SELECT {COLUMNS} FROM versions WHERE user = ? AND version = ?"
    versions: str = f"SELECT {COLUMNS} FROM versions WHERE user = ? ORDER BY version"
    profiles: str = (
        f"SELECT u.number, u.user_id, u.next_sentence, u.paused, {_OF_V} FROM users u JOIN versions v "
        "ON v.user = u.number AND v.version = u.current WHERE u.current > 0"
    )
    among: str = " AND u.user_id IN (SELECT value FROM json_each(?))"
    since: str = " AND u.changed >= ?"
    in_order: str = " ORDER BY u.number"
    all_versions: str = (
        f"SELECT u.user_id, u.current, u.newest, v.chain, {_OF_V} FROM users u LEFT JOIN versions v "
        "ON v.user = u.number ORDER BY u.number, v.version"
    )
    chain_before: str = "SELECT chain FROM versions WHERE user = ? AND version < ? ORDER BY version DESC LIMIT 1"
    add_version: str = f"INSERT INTO versions(user, {COLUMNS}, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    chain: str = "UPDATE versions SET chain = ? WHERE user = ? AND version = ?"
    reword: str = "UPDATE versions SET text = ?, sentences = ? WHERE user = ? AND version = ?"
    score: str = "UPDATE versions SET score = ? WHERE user = ? AND version = ?"
    drop_version: str = "DELETE FROM versions WHERE user = ? AND version = ?"
    drop_versions: str = "DELETE FROM versions WHERE user = ?"

    # Rules
    rules: str = "SELECT kind, text FROM rules WHERE user = ?"
    users_with_rules: str = "SELECT DISTINCT user FROM rules"
    add_rule: str = "INSERT INTO rules(user, kind, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    drop_rule: str = "DELETE FROM rules WHERE user = ? AND kind = ? AND text = ?"
    drop_rules: str = "DELETE FROM rules WHERE user = ?"
    bans: str = "SELECT words FROM bans ORDER BY words"
    add_ban: str = "INSERT INTO bans(words) VALUES (?) ON CONFLICT DO NOTHING"
    drop_ban: str = "DELETE FROM bans WHERE words = ?"

    # Actions
    add_action: str = "INSERT INTO actions(time, who, verb, user, subject, what) VALUES (?, ?, ?, ?, ?, ?)"
    actions: str = f"{_ACTIONS} ORDER BY a.number DESC"
    actions_on: str = f"{_ACTIONS} WHERE a.subject = ? ORDER BY a.number DESC"

    # Forgotten
    tombstone: str = "SELECT 1 FROM tombstones WHERE kind = ? AND hash = ?"
    add_tombstone: str = "INSERT INTO tombstones(kind, hash, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    drop_tombstone: str = "DELETE FROM tombstones WHERE kind = ? AND hash = ?"
    forgotten: str = "SELECT count(*) FROM tombstones"
    forgotten_since: str = "SELECT hash, created FROM tombstones WHERE kind = 'user' AND created >= ? ORDER BY created"
    unfinished: str = "SELECT number, work FROM unfinished ORDER BY number"
    add_unfinished: str = "INSERT INTO unfinished(work) VALUES (?) RETURNING number"
    drop_unfinished: str = "DELETE FROM unfinished WHERE number = ?"
    add_receipt: str = "INSERT INTO receipts(kind, subject, sha256, created) VALUES (?, ?, ?, ?)"

    # The store itself: its secrets and marks, run folders, exported files
    meta: str = "SELECT value FROM meta WHERE key = ?"
    set_meta: str = "INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value"
    drop_meta: str = "DELETE FROM meta WHERE key = ?"
    runs: str = "SELECT folder, run FROM runs ORDER BY folder"
    add_run: str = (
        "INSERT INTO runs(folder, run, model) VALUES (?, ?, ?) "
        "ON CONFLICT(folder) DO UPDATE SET run = excluded.run, model = excluded.model"
    )
    exports: str = "SELECT number, path, partial, process, users, finished FROM exports ORDER BY number"
    add_export: str = (
        "INSERT INTO exports(path, partial, process, users, started) VALUES (?, ?, ?, ?, ?) RETURNING number"
    )
    finish_export: str = "UPDATE exports SET finished = ? WHERE number = ?"
    drop_unfinished_export: str = "DELETE FROM exports WHERE number = ? AND finished IS NULL"

    # Columns that a copy fills from others: table -> column -> the one it is made of
    derived: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    # What a doctor counts
    count_users: str = "SELECT count(*) FROM users"
    count_events: str = "SELECT count(*) FROM events"
    count_versions: str = "SELECT count(*) FROM versions"
    count_stale: str = "SELECT count(*) FROM users WHERE last_event > read_upto"
    count_shown: str = "SELECT count(*) FROM users WHERE current > 0"
    count_bare: str = "SELECT count(*) FROM users WHERE current = 0"
    # Every text that is there, to compare with what was forgotten
    texts: tuple[str, ...] = (
        "SELECT text FROM versions", "SELECT content FROM events",
        "SELECT event_id || char(0) || session_id FROM events",
        "SELECT user_id FROM users", "SELECT text FROM rules", "SELECT folder FROM runs", "SELECT path FROM exports",
    )  # fmt: skip


SQLITE = Statements()
POSTGRES = Statements(
    # Users are found by the hash of their id, since the id itself is sealed.
    listed_by_id="",  # Sealed ids have no order.
    named="SELECT number, hash FROM users JOIN unnest(?::text[]) AS gone(hash) ON gone.hash = user_hash",
    find_user=(
        "SELECT number, current, newest, next_sentence, last_event, read_upto, paused FROM users WHERE user_hash = ?"
    ),
    lock=" FOR UPDATE",
    users_of_length=(  # A sealed text has 24 bytes more.
        "SELECT user_id FROM users WHERE octet_length(user_id) - 24 BETWEEN ? AND ? LIMIT 20000"
    ),
    add_user="INSERT INTO users(number, user_id, user_hash) VALUES (?1, ?2, ?2)",
    note_change=(
        "UPDATE users SET changed = greatest(?, (SELECT coalesce(max(changed), 0) FROM users)) WHERE number = ?"
    ),
    summary=SQLITE.summary.replace("u.user_id = ?", "u.user_hash = ?"),
    among=" AND u.user_hash = ANY(?)",
    note_events=SQLITE.note_events.replace("+user", "user"),
    # Events are found by the SHA-256 of their sealed id: an index takes no long value.
    event_like=SQLITE.event_like.replace("event_id = ?3", "sha256(event_id) = sha256(?3)"),
    event_named="SELECT kind, content FROM events WHERE user = ? AND sha256(event_id) = sha256(?)",
    add_event=(
        "INSERT INTO events(user, event_id, session_id, kind, time, source, content, held_out, likeness, stem, "
        "session_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?2, ?3)"
    ),
    drop_event="DELETE FROM events WHERE user = ? AND sha256(event_id) = sha256(?)",
    drop_conversation="DELETE FROM events WHERE user = ? AND session_hash = ?",
    owners=(
        "SELECT DISTINCT u.user_id, u.number FROM events e JOIN users u ON u.number = e.user "
        "WHERE e.session_hash = ? ORDER BY u.number"
    ),
    exchanges="SELECT event_id FROM events WHERE user = ? AND sha256(stem) = sha256(?) ORDER BY number DESC LIMIT 50",
    talk_length="SELECT count(*) FROM events WHERE user = ? AND session_hash = ? AND kind = 'message'",
    # The number of what is unfinished is that of the key that seals it.
    add_unfinished="INSERT INTO unfinished(number, work) VALUES (?, ?)",
    derived={"users": {"user_hash": "user_id"}, "events": {"stem": "event_id", "session_hash": "session_id"}},
    texts=(),
)


def delete_user(do: Callable[[str, Sequence[object]], int], sql: Statements, number: int) -> dict[str, int]:
    """Delete all rows of a user; returns their counts by table."""
    return {
        "events": do(sql.drop_events, (number,)),
        "versions": do(sql.drop_versions, (number,)),
        "rules": do(sql.drop_rules, (number,)),
        "users": do(sql.drop_user, (number,)),
    }
