"""Cursors: where the next page of a list goes on. For who holds one it is a word without meaning."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from producer.contract.errors import InvalidQuery

_VERSION: Final = 1
_SUM_CHARS: Final = 12
#: Characters; one that we write has some hundred.
_LONGEST: Final = 20_000
_ADVICE: Final = "begin without a cursor, or hand in what the page before gave, as it is"


@dataclass(frozen=True)
class Cursor:
    """Where a list goes on.

    Args:
        query: of which list it is; equal for equal ones.
        plan: by which sources the list is read.
        source: which of them is next.
        after: the position in it after which to go on.
        began_ms: when its first page was read, Unix ms; 0 where that makes no difference.
        batches: the ids of the batches that its filter named.
    """

    query: str
    plan: str
    source: Annotated[int, Field(ge=0)]
    after: str
    began_ms: Annotated[int, Field(ge=0, lt=1 << 47)]
    batches: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What the caller gets."""
        content = json.dumps([_VERSION, asdict(self)], separators=(",", ":")).encode()
        return f"{_encoded(content)}.{_sum(content)}"


_CURSOR: Final = TypeAdapter(Cursor)
_ID: Final = r"[0-9a-f-]{36}"
#: What positions look like, by the plan: somebody may have built the cursor by hand.
_POSITIONS: Final = {
    "jobs": _ID,
    "ended": rf"{_ID}|\d{{1,14}} {_ID}",  # what runs comes first, by its id
    "rows": r"\d{1,10} \d{1,10}",
    "running": _ID,
    "failed": _ID,
}


def query_of(filter_text: str) -> str:
    """Return what a cursor is bound to."""
    return hashlib.sha256(filter_text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def read_cursor(text: str, *, query: str) -> Cursor:
    """Read a cursor.

    Raises:
        InvalidQuery: it is torn, of another version, or of another query.
    """
    if not isinstance(text, str):
        raise InvalidQuery(f"cursor must be text, not {type(text).__name__}", field="cursor")
    cursor = _read(text)
    if cursor.query != query:
        raise InvalidQuery(
            "cursor is of a list with another filter; expected the filter that it came with",
            field="cursor",
            advice=_ADVICE,
        )
    return cursor


def _read(text: str) -> Cursor:
    encoded, _, check = text.strip().partition(".")
    try:
        content = base64.urlsafe_b64decode(encoded[:_LONGEST] + "=" * (-len(encoded) % 4))
    except ValueError:  # no base64, or no ASCII
        content = b""
    # Some letters' last bits say nothing.
    if check != _sum(content) or encoded != _encoded(content):
        raise _torn()
    try:
        version, fields = json.loads(content)
    except (
        ValueError,
        TypeError,
        RecursionError,
    ) as exc:  # the sum is no secret: anybody can write one
        raise _torn() from exc
    if version != _VERSION:
        raise InvalidQuery(
            "cursor was given by another version", field="cursor", advice="begin without a cursor"
        )
    try:
        cursor = _CURSOR.validate_python(fields)
    except ValidationError as exc:
        raise _torn() from exc
    form = _POSITIONS.get(cursor.plan)
    if form is None or not re.fullmatch(f"({form})?", cursor.after, re.ASCII):
        raise _torn()
    if not all(re.fullmatch(_ID, batch, re.ASCII) for batch in cursor.batches):
        raise _torn()
    return cursor


def _torn() -> InvalidQuery:
    return InvalidQuery(
        "cursor is torn: it is none that a list gave", field="cursor", advice=_ADVICE
    )


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _sum(content: bytes) -> str:
    return hashlib.sha256(b"comfyfleet cursor " + content).hexdigest()[:_SUM_CHARS]
