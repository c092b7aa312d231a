"""What a request is called by: each name is text, also where nothing is said in another kind."""

from __future__ import annotations

import pytest

from producer.contract.errors import InvalidJob
from producer.intake.request import Request, check_names


@pytest.mark.parametrize("value", [False, 0, b"", (), 7])
@pytest.mark.parametrize("name", ["pool", "pin", "owner", "idempotency_key"])
def test_a_name_that_is_no_text_is_refused_by_its_field(name, value):
    with pytest.raises(InvalidJob, match="must be text") as caught:
        check_names(Request(graph={}, **{name: value}))
    assert caught.value.field == name


def test_no_pin_and_no_key_are_nothing_to_refuse():
    check_names(Request(graph={}, pin=None, idempotency_key=None))
