"""Times in any unit and format are the same seconds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plus.sources.fields import UnusableError, seconds

MOMENT = datetime(2016, 1, 31, 13, 23, 6, tzinfo=UTC)
STAMP = MOMENT.timestamp()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (STAMP, "seconds"),
        (int(STAMP), "seconds"),
        (STAMP * 1e3, "milliseconds"),
        (int(STAMP * 1e6), "microseconds"),
        (int(STAMP) * 10**9, "nanoseconds"),
        (str(int(STAMP)), "seconds"),
        ("1454246586000", "milliseconds"),
        ("2016-01-31T13:23:06Z", "ISO texts"),
        ("2016-01-31 13:23:06.0 UTC", "ISO texts"),
        ("2016-01-31 14:23:06+01:00", "ISO texts"),
        ("2016-01-31 13:23:06", "ISO texts"),
        (MOMENT, "dates"),
        (MOMENT.replace(tzinfo=None), "dates"),
        (MOMENT.astimezone(timezone(timedelta(hours=9))), "dates"),
    ],
)
def test_every_format_is_the_same_second(value, name):
    assert seconds(value) == (STAMP, name)


def test_a_day_is_its_midnight_and_nothing_is_none():
    assert seconds(date(1970, 1, 2)) == (86400.0, "dates")
    assert seconds("1970-01-02") == (86400.0, "ISO texts")
    assert seconds(None) == seconds("") == (None, "none")


@pytest.mark.parametrize(
    "value", ["soon", "nan", "1e400", float("inf"), 10**400, -(10**400), True, [1], 1e30, "2016-13-01"]
)
def test_what_cannot_be_read_is_not_guessed(value):
    with pytest.raises(UnusableError):
        seconds(value)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_iso_text_and_milliseconds_agree(moment):
    moment = moment.replace(tzinfo=UTC)
    assert seconds(moment.isoformat())[0] == pytest.approx(seconds(moment.timestamp() * 1000)[0], abs=1e-3)
