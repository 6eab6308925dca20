"""Address of a store on a database server: told from a path, and written without its password."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"postgres(?:ql)?:/")


def is_address(place: object) -> bool:
    """Tell a server's address from a path. A Path has lost one of its slashes, and is one all the same."""
    return _ADDRESS.match(str(place)) is not None


def without_password(address: str) -> str:
    """Leave the password out of an address: how messages, receipts and commands to copy write it."""
    if not is_address(address) or "://" not in address:
        return address
    scheme, _, rest = address.partition("://")
    user, at, place = rest.rpartition("@")  # The last one: a password may hold others.
    where, mark, query = place.partition("?")
    options = [option for option in query.split("&") if "password" not in option.partition("=")[0]]
    return f"{scheme}://{user.partition(':')[0]}{at}{where}{mark if query else ''}{'&'.join(options)}"
