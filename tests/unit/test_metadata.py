from __future__ import annotations

import pytest

from producer.contract.errors import InvalidJob
from producer.contract.metadata import MOST_BYTES, check_metadata


@pytest.mark.parametrize(
    "metadata", [{}, {"order": "7", "kunde": "Müller & Söhne 🦊"}, {"a": "x" * (MOST_BYTES - 1)}]
)
def test_what_s3_can_carry_is_taken(metadata):
    check_metadata(metadata)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": "x" * MOST_BYTES}, "metadata 'a' makes all of it longer than 1,400 bytes"),
        ({"a": "é" * 400}, "makes all of it longer"),
        ({str(i): "x" * 99 for i in range(20)}, "metadata '13' makes all of it longer"),
        ({"a": "x" * (30 << 20)}, "makes all of it longer"),
        ({"n" * 65: "x"}, "has a name of 65 characters; the limit is 64"),
        ({" ": "x"}, "has no name"),
        ({"SHA256": "x"}, "metadata 'SHA256' is a name that the fleet uses itself"),
        ({"Order": "x", "order": "y"}, "'order' differs from 'Order' in capitals only"),
        ({5: "x"}, "must be text, not int"),
        ({"a": None}, "must be text, not NoneType"),
    ],
)
def test_what_it_cannot_is_refused_with_its_name(metadata, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        check_metadata(metadata)
    assert str(caught.value.field).startswith("metadata.")
