"""What schemathesis is told of the API beside its description; loaded by its own process."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def rows(_: Any, value: Any) -> bytes:
    """Write rows, which the description has as one text."""
    return str(value).encode("utf-8", "surrogatepass")
