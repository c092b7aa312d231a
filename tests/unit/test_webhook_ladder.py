"""When a message to a webhook is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from producer.webhooks.ladder import next_wait

HOURS = 3_600


def waits(chance):
    found = [next_wait(tried, chance=chance) for tried in range(1, 12)]
    return [wait and wait.total_seconds() for wait in found]


def test_ten_tries_in_about_three_days():
    middle = [5, 300, 1_800, *(HOURS * hours for hours in (2, 5, 10, 14, 20, 24)), None, None]
    assert waits(0.5) == middle
    assert waits(0) == [wait and pytest.approx(0.9 * wait) for wait in middle]
    assert waits(1) == [wait and pytest.approx(1.1 * wait) for wait in middle]


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120),
        (" 2 ", 5),  # the ladder's own wait is longer
        ("99999999999999", 24 * HOURS),
        ("-5", 5),
        ("soon", 5),
        ("", 5),
        ("²", 5),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 5),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 24 * HOURS),
    ],
)
def test_a_receiver_may_ask_for_a_longer_wait_within_a_day(asked, seconds):
    assert next_wait(1, retry_after=asked, chance=0.5) == timedelta(seconds=seconds)


def test_a_receiver_may_name_a_date():
    at = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    assert next_wait(1, retry_after=at).total_seconds() == pytest.approx(600, abs=5)
