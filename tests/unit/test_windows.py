from datetime import UTC, datetime

import pytest

from refute.core.windows import WindowError, parse_freeze, parse_window


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "moment", "inside"),
    [
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-23T09:00", True),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-23T08:59", False),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-23T16:00", False),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-27T10:00", False),
        ("mon-thu 09:00-16:00 Europe/Berlin", "2026-11-23T08:30", True),
        ("Mon-Thu 09:00-16:00 Europe/Berlin", "2026-07-06T07:30", True),
        ("Sat-Mon 09:00-16:00 UTC", "2026-11-22T10:00", True),
        ("Tue, Fri 00:00-24:00 UTC", "2026-11-27T23:59", True),
        ("Tue, Fri 00:00-24:00 UTC", "2026-11-26T23:59", False),
        ("Fri 22:00-04:00 UTC", "2026-11-28T03:59", True),
        ("Fri 22:00-04:00 UTC", "2026-11-27T03:59", False),
        ("Fri 22:00-04:00 UTC", "2026-11-27T22:00", True),
        ("Fri 22:00-04:00 UTC", "2026-11-28T22:00", False),
    ],
)
def test_a_window_holds_its_hours(window, moment, inside):
    assert parse_window(window).holds(at(moment)) is inside


@pytest.mark.parametrize(
    "text", ["", "Mon 9-16 UTC", "Mon-Thu 09:00-16:00", "Monday 09:00-16:00 UTC", "Mon 25:00-26:00 UTC", "Mon 09:00-16:00 Mars/Base"]
)
def test_a_window_that_cannot_be_read_says_what_is_allowed(text):
    with pytest.raises(WindowError, match=r"such as|hours"):
        parse_window(text)


@pytest.mark.parametrize(
    ("freeze", "moment", "inside"),
    [
        ("2026-12-20 to 2027-01-02 UTC", "2026-12-20T00:00", True),
        ("2026-12-20 to 2027-01-02 UTC", "2027-01-02T23:59", True),
        ("2026-12-20 to 2027-01-02 UTC", "2027-01-03T00:00", False),
        ("2026-12-24 Europe/Berlin", "2026-12-23T23:30", True),
        ("2026-12-24 Europe/Berlin", "2026-12-24T23:30", False),
    ],
)
def test_a_freeze_holds_its_days(freeze, moment, inside):
    assert parse_freeze(freeze).holds(at(moment)) is inside


@pytest.mark.parametrize("text", ["2026-12-20", "2026-13-20 UTC", "2026-12-20 to 2026-12-01 UTC", "20 December UTC"])
def test_a_freeze_that_cannot_be_read_is_refused(text):
    with pytest.raises(WindowError):
        parse_freeze(text)
