"""The store as its operator sees it: what a doctor finds, what was exported, and which runs it knows."""

from __future__ import annotations

from starlette.responses import Response

from plus.profiles.doctor import examine
from plus.studio.visit import Visit


def store(visit: Visit) -> Response:
    """Show the store's counts and exported files."""
    sql = visit.store.sql
    counted = {"users": sql.count_users, "shown": sql.count_shown, "stale": sql.count_stale, "events": sql.count_events,
               "versions": sql.count_versions, "forgotten": sql.forgotten}  # fmt: skip
    counts = {name: visit.store.number(query) for name, query in counted.items()}
    exports = [(path, finished) for _, path, _, _, _, finished in visit.store.rows(sql.exports) if finished]
    return visit.show("store.html", counts=counts, exports=exports, runs=visit.store.runs(), found=None)


def doctor(visit: Visit) -> Response:
    """Check the store's file and every summary; nothing is changed."""
    found = examine(visit.store, finish=False)
    return visit.show("doctor.html", found=found)
