"""Parts of object keys: any text as a part that no S3 service, file system or URL reads otherwise."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9._-]")
_UNSAFE_OR_DOT: Final = re.compile(rb"[^A-Za-z0-9_-]")
#: Characters that the hash of a long text takes, with the signs before it.
_HASH_LENGTH: Final = 66


def escaped_part(text: str, *, most: int) -> str:
    """Return a text in `A-Za-z0-9._-`: other bytes are escaped as `~2F`, a long one is cut and hashed.

    Different texts have different parts. `%` is not used, as URLs would escape it again. `~~` precedes the hash of
    a long text: no escaped byte contains it, so a long text never equals a short one.

    Args:
        most: characters of the part; more than 66.
    """
    return _escaped(text, _UNSAFE, most)


def whole_part(text: str, *, most: int) -> str:
    """Return the same for a text, not empty, that may be all there is between two slashes: it is neither `.` nor `..`."""
    return _escaped(text, _UNSAFE if text.strip(".") else _UNSAFE_OR_DOT, most)


def _escaped(text: str, unsafe: re.Pattern[bytes], most: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    escaped = unsafe.sub(lambda found: b"~%02X" % found[0][0], raw).decode()
    if len(escaped) <= most:
        return escaped
    return f"{escaped[: most - _HASH_LENGTH]}~~{hashlib.sha256(raw).hexdigest()}"
