"""Log of actions: who changed what about whom, in the store itself and in the same transaction as the change.

A row holds a hash of the user, ids and counts, and never a text or a name of anybody the store is about; so it stays
when the user is forgotten. `Store.who` says who acts (`--as WHO`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from plus.profiles.store import Store


def note(store: Store, verb: str, user_id: str = "", what: str = "") -> None:
    """Add an action, inside the transaction of the change. user_id: "" for one on several users."""
    user = store.find(user_id) if user_id else None
    subject = store.fingerprint("user", user_id) if user_id else ""
    values = (round(time.time(), 3), store.who, verb, user.number if user else 0, subject, what)
    store.do(store.sql.add_action, values)


def listed(store: Store, user_id: str = "") -> Iterator[dict[str, Any]]:
    """Yield actions, the newest first; of one user, also of one who was forgotten, or of all."""
    sql, values = store.sql.actions, list[str]()
    if user_id:
        sql, values = store.sql.actions_on, [store.fingerprint("user", user_id)]
    for moment, who, verb, user, subject, what in store.rows(sql, values):
        yield {"time": moment, "who": who, "verb": verb, "user_id": user or "", "subject": subject, "what": what}
