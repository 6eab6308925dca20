"""The list of people: search and filters, a page at a time. What is asked goes in a form, so no address holds an id."""

from __future__ import annotations

from starlette.responses import Response

from plus.profiles import listing
from plus.studio.access import RefusedError
from plus.studio.visit import Visit


def users(visit: Visit) -> Response:
    """Show the first people of the store."""
    return _show(visit, "", "", 0)


def search(visit: Visit) -> Response:
    """Show the people who are asked for, or the next of them."""
    after, name = visit.form.get("after") or "0", visit.form.get("filter", "")
    if not after.isdecimal() or len(after) > 15 or name not in ("", *listing.FILTERS):
        raise RefusedError(400, "no_form")
    return _show(visit, visit.form.get("q", "").strip(), name, int(after))


def _show(visit: Visit, asked: str, name: str, after: int) -> Response:
    # Ids first: they are found by the index, and one that is typed in full is what was meant.
    ids = listing.by_id(visit.store, asked) if asked and not after and not name else []
    found = listing.page(visit.store, asked, name, after)
    shown = [*ids, *(user for user in found.users if user not in ids)]
    template = "people.html" if visit.is_part else "users.html"
    filters = ("", *listing.FILTERS)
    return visit.show(template, people=shown, page=found, asked=asked, filter=name, filters=filters)
