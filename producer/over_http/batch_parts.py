"""Parts of a batch: rows as lines of JSON, packed, as many at once as a request takes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from producer.batch.rows import RowLike, as_row
from producer.contract.batches import BUCKET_ROWS, BadRow
from producer.contract.errors import InvalidJob
from producer.over_http.bodies import Uploader, inputs, mapping, values

#: Rows of a part, and its bytes before they are packed: what is larger ends earlier.
_MOST_ROWS: Final = 5_000
_MOST_BYTES: Final = 4 << 20
#: What no row is: it keeps the number of one that could not be read.
_NO_ROW: Final = b"null"


@dataclass
class Part:
    """Rows that are sent at once.

    Args:
        first: how many rows lie before them.
        unread: those of them that could not be read here, by number.
    """

    first: int
    lines: list[bytes] = field(default_factory=list)
    unread: dict[int, BadRow] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The number of its last row, from 1."""
        return self.first + len(self.lines)

    @property
    def range(self) -> str:
        """Its `Content-Range`."""
        return f"rows {self.first}-{self.last - 1}/*"

    @property
    def packed(self) -> bytes:
        """Its body."""
        return gzip.compress(b"\n".join(self.lines), 1)

    def told(self, row: BadRow) -> BadRow:
        """Return what is wrong with a row as it was found here, where it was."""
        return self.unread.get(row.row, row)


def parts_of(
    rows: Iterable[RowLike], upload: Uploader, *, first: int, most_rows: int = _MOST_ROWS
) -> Iterator[Part]:
    """Yield rows in parts, each of a multiple of 100 but for the last.

    Args:
        first: how many rows lie before them.
    """
    left = iter(rows)
    part = Part(first)
    size = 0
    while bucket := list(islice(left, BUCKET_ROWS)):
        for row in bucket:
            line, flaw = _line(row, part.last + 1, upload)
            if flaw:
                part.unread[flaw.row] = flaw
            part.lines.append(line)
            size += len(line)
        if len(part.lines) >= most_rows or size >= _MOST_BYTES:
            yield part
            part, size = Part(part.last), 0
    if part.lines:
        yield part


def counted(
    rows: Iterable[RowLike], on_progress: Callable[[int], None] | None, *, every: int = 1_000
) -> Iterator[RowLike]:
    """Pass rows on, and call *on_progress* with their number now and then."""
    for number, row in enumerate(rows, 1):
        yield row
        if on_progress and number % every == 0:
            on_progress(number)


def bad_row(told: Mapping[str, Any]) -> BadRow:
    """Return a row that was left out as the API tells it."""
    return BadRow(told["row"], told.get("column"), told["message"], told.get("advice"))


def _line(row: RowLike, number: int, upload: Uploader) -> tuple[bytes, BadRow | None]:
    try:
        if isinstance(row, InvalidJob):
            raise row
        found = as_row(row)
        told = {
            "params": values(found.params),
            "inputs": inputs(found.inputs, upload) if found.inputs else {},
            "metadata": mapping(found.metadata, "metadata"),
        }
        given = {name: part for name, part in told.items() if part or name == "params"}
        return json.dumps(given, allow_nan=False, separators=(",", ":")).encode(), None
    except InvalidJob as exc:
        column = (exc.field or "").removeprefix("params.").removeprefix("inputs.")
        return _NO_ROW, BadRow(number, column or None, exc.message, exc.advice)
    except (TypeError, ValueError):
        return _NO_ROW, BadRow(number, None, "it holds what JSON cannot say")
