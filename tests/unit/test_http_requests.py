"""Bodies of requests: a value of another JSON type than told is refused, never read as what it may have meant."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from producer.http.actions import ActionRequest
from producer.http.nodes import WishRequest
from producer.http.requests import DeliverRequest, JobRequest

ACTION = {"action": "cancel", "filter": "status:queued"}
JOB = {"graph": {}}
COPY = {"to": "s3://shop/{job}-{n}{ext}"}
#: Pydantic itself would take each of them for a value of the field's type.
LOOKALIKES = [
    (ActionRequest, ACTION, "dry_run", [0, 1, 0.0, "false", "off", "no", None]),
    (JobRequest, JOB, "start_within_s", ["60", True, "1e3"]),
    (JobRequest, JOB, "run_within_s", ["60", False]),
    (DeliverRequest, COPY, "quality", ["90", 90.0, True]),
    (DeliverRequest, COPY, "thumbnail", ["512", 512.0]),
    (WishRequest, {}, "until", [5, 5.5, "1795910000", "-5", True, "2026-11-28T06:00:00"]),
]


@pytest.mark.parametrize(
    ("body", "rest", "field", "given"),
    [(body, rest, field, given) for body, rest, field, all_ in LOOKALIKES for given in all_],
)
def test_a_value_of_another_type_is_refused(body, rest, field, given):
    with pytest.raises(ValidationError) as caught:
        body(**rest, **{field: given})
    assert [error["loc"][0] for error in caught.value.errors()] == [field]


def test_values_of_the_type_are_taken():
    assert ActionRequest(**ACTION, dry_run=True).dry_run is True
    assert JobRequest(**JOB, start_within_s=60).start_within_s == 60
    assert JobRequest(**JOB, run_within_s=0.5).run_within_s == 0.5
    assert DeliverRequest(**COPY, quality=90, thumbnail=512).quality == 90
    assert WishRequest(until="2026-11-28T06:00:00+01:00").until.hour == 6
