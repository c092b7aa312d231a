"""The tables of Redis and S3 keys, from the modules that build them."""

from __future__ import annotations

import re
from typing import Final

from producer.storage import object_keys
from producer.store import keys

_S3_LINE: Final = re.compile(r"^ {4}(\{prefix\}\S+) +(.+)$", re.MULTILINE)


def redis() -> str:
    """Return every Redis key with its type and its life, as the key builders' module has it."""
    rows = [line for line in str(keys.__doc__).splitlines() if line.startswith("|")]
    return "\n".join(re.sub(r"^\| (comfyfleet:[^|]+?) \|", r"| `\1` |", row) for row in rows)


def s3() -> str:
    """Return every key of the bucket with what lies there."""
    rows = [f"| `{key}` | {what} |" for key, what in _S3_LINE.findall(str(object_keys.__doc__))]
    return "\n".join(["| key | what |", "| --- | --- |", *rows])
