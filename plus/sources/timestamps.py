"""Times as logs write them, in seconds since 1970: numbers in any unit, ISO texts, dates and times."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time
from typing import Any

from plus.sources.messages import UnusableError

# A number's size tells its unit: as seconds, 1e11 is the year 5138; as milliseconds, it is 1973.
_UNITS = ((1e11, 1.0, "seconds"), (1e14, 1e3, "milliseconds"), (1e17, 1e6, "microseconds"), (1e20, 1e9, "nanoseconds"))
_ZONE = re.compile(r"\s*(?:UTC|GMT)$")


def seconds(value: Any) -> tuple[float | None, str]:
    """(seconds since the epoch, the format found); (None, "none") of nothing. Times without a zone
    are UTC. Raises UnusableError where a value is given and cannot be read: an event at an unknown
    time may be newer than what it would be used to predict."""
    if value is None or value == "":
        return None, "none"
    if isinstance(value, datetime | date):
        moment = value if isinstance(value, datetime) else datetime.combine(value, time())
        return _utc(moment), "dates"
    if isinstance(value, str):
        return _from_text(value.strip())
    # An int may be too large to be any float, so only floats are asked whether they are finite.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise UnusableError("rows whose timestamp cannot be read")
    for limit, scale, name in _UNITS:
        if abs(value) < limit:
            return value / scale, name
    raise UnusableError("rows whose timestamp cannot be read")


def _from_text(text: str) -> tuple[float, str]:
    try:
        number, name = seconds(float(text))
        return number or 0.0, name
    except ValueError:  # Also the UnusableError of "nan" and "1e99", which are no dates either.
        pass
    try:
        return _utc(datetime.fromisoformat(_ZONE.sub("+00:00", text))), "ISO texts"
    except (ValueError, OverflowError):
        raise UnusableError("rows whose timestamp cannot be read") from None


def _utc(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
