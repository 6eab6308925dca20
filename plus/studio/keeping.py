"""The store as its operator sees it: counts, rules for all, exported files, runs, and what a doctor finds."""

from __future__ import annotations

from starlette.responses import Response

from plus.profiles import bans
from plus.profiles.bans import Banned
from plus.profiles.doctor import examine
from plus.studio.visit import Visit


def store(visit: Visit) -> Response:
    """Show the store's counts, rules and exported files."""
    return _show(visit)


def plan(visit: Visit) -> Response:
    """Count what a rule for all would take out; nothing is changed."""
    words = visit.form.get("words", "")
    return _show(visit, words, bans.planned(visit.store, [words]))


def ban(visit: Visit) -> Response:
    """Keep words out of every summary from now on."""
    bans.ban(visit.store, [visit.form.get("words", "")])
    return visit.back("/store", "ruled")


def lift(visit: Visit) -> Response:
    """Allow words again."""
    bans.lift(visit.store, [visit.form.get("words", "")])
    return visit.back("/store", "lifted")


def _show(visit: Visit, asked: str = "", found: Banned | None = None) -> Response:
    sql = visit.store.sql
    counted = {"users": sql.count_users, "shown": sql.count_shown, "stale": sql.count_stale, "events": sql.count_events,
               "versions": sql.count_versions, "forgotten": sql.forgotten}  # fmt: skip
    counts = {name: visit.store.number(query) for name, query in counted.items()}
    exports = [(path, finished) for _, path, _, _, _, finished in visit.store.rows(sql.exports) if finished]
    return visit.show(
        "store.html", counts=counts, exports=exports, runs=visit.store.runs(), bans=visit.store.bans(), asked=asked,
        plan=found,
    )  # fmt: skip


def doctor(visit: Visit) -> Response:
    """Check the store's file and every summary; nothing is changed."""
    found = examine(visit.store, finish=False)
    return visit.show("doctor.html", found=found)
