"""Reads the rows of a batch from a file: CSV with a header, or one JSON object a line.

| column | is |
| --- | --- |
| `6.text`, `KSampler.seed`, ... | the param of that address |
| `input:34.image` | a file the graph reads: a path, `s3://BUCKET/KEY`, or `node:NAME` |
| `metadata.order` | text that stays with the job |

A line of JSON holds params by address, or `{"set": {...}, "inputs": {...}, "metadata": {...}}`.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from producer.batch.row_checks import Row
from producer.contract.batches import BadRow
from producer.contract.errors import InvalidGraph, InvalidJob, InvalidRows
from producer.contract.graphs import Graph
from producer.contract.input_addresses import Addresses

_INPUT: Final = "input:"
_METADATA: Final = "metadata."
_PARTS: Final = frozenset({"set", "inputs", "metadata"})
#: A cell may hold a long prompt; Python's own limit is 128 kB.
_LONGEST_CELL: Final = 4 << 20


class RowFile:
    """The rows of one file, read as they are asked for.

    Args:
        lines: of the file, as text.
        columns: what CSV columns stand for, where their header does not say it.
    """

    def __init__(self, lines: Iterable[str], *, graph: Graph, columns: Mapping[str, str]) -> None:
        self._lines = _Lines(lines)
        self._addresses = Addresses(graph)
        self._columns = columns
        self._headers: dict[str, str] = {}  # by what errors call the column

    def rows(self) -> Iterator[Row | Mapping[str, Any] | InvalidJob]:
        """Give the rows in order; what could not be read is given as the error that it is.

        Raises:
            InvalidJob: the header of a CSV file makes no sense.
        """
        first = next((line for line in self._lines if line.strip()), "")
        lines = chain([first], self._lines)
        return self._json(lines) if first.lstrip().startswith("{") else self._csv(lines)

    def in_its_words(self, row: BadRow) -> BadRow:
        """Return a bad row with the header of its column in place of the address."""
        return replace(row, column=self._headers.get(row.column or "", row.column))

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let errors name columns by their headers."""
        try:
            yield
        except InvalidRows as exc:
            rows = [self.in_its_words(row) for row in exc.rows]
            raise InvalidRows(rows, count=exc.count, accepted=exc.accepted) from exc

    def _csv(self, lines: Iterable[str]) -> Iterator[Row | InvalidJob]:
        csv.field_size_limit(_LONGEST_CELL)
        reader = csv.reader(lines, strict=True)
        meanings = [self._meaning(header) for header in self._header(reader)]
        while True:
            first = self._lines.read + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                yield self._bad_row(first, f"is no CSV: {exc}", is_cut=_is_cut(exc))
                continue
            if cells and len(cells) != len(meanings):
                yield self._bad_row(first, f"has {len(cells)} cells, the header {len(meanings)}")
            elif cells:
                yield _row(meanings, cells)

    def _bad_row(self, first: int, why: str, *, is_cut: bool = False) -> InvalidJob:
        """Return what is wrong with the row that began at line *first*, if it is the row alone.

        Raises:
            InvalidJob: it may well be made of many rows, by a quotation mark that is never closed.
        """
        last = self._lines.read
        if last == first and not is_cut:
            return _unreadable(f"line {first:,} {why}")
        lines = f"line {first:,}" if last == first else f"line {first:,} to line {last:,}"
        raise InvalidJob(
            f"the row from {lines} {why}",
            field="rows",
            advice="look there for a quotation mark too few, or too many",
        )

    def _header(self, reader: Iterator[list[str]]) -> list[str]:
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as exc:
            raise InvalidJob(f"the header is no CSV: {exc}", field="rows") from exc
        if unused := [name for name in self._columns if name not in header]:
            raise InvalidJob(
                f"there is no column {unused[0]!r}; columns are: {', '.join(header)}",
                field="--map",
            )
        return header

    def _meaning(self, header: str) -> tuple[str, str]:
        """Return what a column sets (`set`, `inputs` or `metadata`) and its address there."""
        address = self._columns.get(header, header)
        if address.startswith(_METADATA):
            part, address = "metadata", address.removeprefix(_METADATA)
            told = f"{_METADATA}{address}"
        else:
            part = "inputs" if address.startswith(_INPUT) else "set"
            address = told = address.removeprefix(_INPUT)
            self._check(header, address, part)
        if told in self._headers:
            raise InvalidJob(
                f"columns {self._headers[told]!r} and {header!r} set the same", field="rows"
            )
        self._headers[told] = header
        return part, address

    def _check(self, header: str, address: str, part: str) -> None:
        try:
            self._addresses.find(address, among=part)
        except InvalidGraph as exc:
            raise InvalidJob(
                f"column {header!r}: {exc.message}",
                field="rows",
                advice=f"{exc.advice or ''} --map '{header}=ADDRESS' says what it sets".lstrip(),
            ) from exc

    def _json(self, lines: Iterable[str]) -> Iterator[Row | Mapping[str, Any] | InvalidJob]:
        for line in lines:
            if line.strip():
                yield _row_of_json(line)


class _Lines(Iterator[str]):
    """The lines of a file, counted."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.read = 0

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except UnicodeDecodeError as exc:
            # It is read ahead: the lines of what was read so far come before the one at fault.
            at = self.read + 1 + exc.object.count(b"\n", 0, exc.start)
            raise InvalidJob(
                f"line {at:,} is no UTF-8: byte 0x{exc.object[exc.start]:02x}, {exc.reason}",
                field="rows",
                advice="save the file as UTF-8",
            ) from exc
        self.read += 1
        return line


def open_rows(name: str) -> io.TextIOBase:
    """Open a file of rows; `-` is standard input.

    Raises:
        InvalidJob: it cannot be read.
    """
    if name == "-":
        return io.TextIOWrapper(sys.stdin.buffer, "utf-8-sig", newline="")
    try:
        return open(name, encoding="utf-8-sig", newline="")  # noqa: PTH123 - the caller closes it
    except OSError as exc:
        raise InvalidJob(f"{name} cannot be read: {exc.strerror}", field="rows") from exc


def _row(meanings: Sequence[tuple[str, str]], cells: Sequence[str]) -> Row:
    parts: dict[str, dict[str, str]] = {"set": {}, "inputs": {}, "metadata": {}}
    for (part, address), cell in zip(meanings, cells, strict=True):
        parts[part][address] = cell
    return Row(parts["set"], parts["inputs"], parts["metadata"])


def _row_of_json(line: str) -> Row | Mapping[str, Any] | InvalidJob:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as exc:
        return _unreadable(f"it is no JSON: {exc}")
    if not isinstance(found, dict):
        return _unreadable("it is no JSON object")
    if not (found and found.keys() <= _PARTS):
        return found
    for name, part in found.items():
        if not isinstance(part, dict):
            return _unreadable(f"its {name!r} is no JSON object")
    return Row(found.get("set", {}), found.get("inputs", {}), found.get("metadata", {}))


def _is_cut(error: csv.Error) -> bool:
    """Tell whether a cell goes on to the end of the file, or without any end in sight."""
    return str(error).startswith(("unexpected end of data", "field larger than field limit"))


def _unreadable(why: str) -> InvalidJob:
    return InvalidJob(why, field="set.")
