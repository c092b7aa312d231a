"""Row files: read the rows of a batch from CSV with a header, or from one JSON object a line.

Cells are separated by commas, semicolons or tabs. Rows of empty cells, and empty columns without a
name, are ignored: spreadsheets often leave them.

| column | is |
| --- | --- |
| `6.text`, `KSampler.seed`, ... | the param of that address |
| `input:34.image` | a file the graph reads: a path, `s3://BUCKET/KEY`, or `node:NAME` |
| `metadata.order` | text kept in the job's record |

A JSON object holds params by address, or `{"params": {...}, "inputs": {...}, "metadata": {...}}`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from producer.batch.rows import Row, RowLike, row_of_json
from producer.cli.csv_dialect import Lines, reader_of, said_separator, separator_of
from producer.contract.batches import BadRow
from producer.contract.errors import InvalidGraph, InvalidJob, InvalidRows
from producer.contract.graph.graph import Graph
from producer.contract.graph.json_values import printable, short
from producer.contract.json_texts import said_twice
from producer.contract.params.addresses import Addresses

_INPUT: Final = "input:"
_METADATA: Final = "metadata."
#: Characters of a cell, which may hold a long prompt; Python's default limit is 131,072.
_LONGEST_CELL: Final = 4 << 20


#: What a column sets (`set`, `inputs` or `metadata`), and its address there.
_Meaning = tuple[str, str]


class RowFile:
    """The rows of one file, read lazily.

    Args:
        lines: of the file, as text.
        graph: in which addresses are looked up.
        columns: addresses by CSV header, for headers that are none themselves.
    """

    def __init__(self, lines: Iterable[str], *, graph: Graph, columns: Mapping[str, str]) -> None:
        self._lines = Lines(lines)
        self._addresses = Addresses(graph)
        self._columns = columns
        self._headers: dict[str, str] = {}  # by the column's name in errors

    def rows(self) -> Iterator[Row | Mapping[str, Any] | InvalidJob]:
        """Yield the rows in order; for a row that cannot be read, its error.

        Raises:
            InvalidJob: the header of a CSV file is invalid, the file is no text in its encoding, or
                a quotation mark is not closed, so that later rows cannot be told apart.
        """
        first = next((line for line in self._lines if line.strip()), "")
        if separator := said_separator(first):
            return self._csv(self._lines, separator)
        lines = chain([first], self._lines)
        begin = first.lstrip()[:1]
        if begin == "[":
            raise InvalidJob(
                "the file is a list; expected one JSON object a line",
                field="rows",
                advice="jq -c '.[]' writes a list so",
            )
        return self._json(lines) if begin == "{" else self._csv(lines, separator_of(first))

    def in_its_words(self, row: BadRow) -> BadRow:
        """Return a bad row with the header of its column in place of the address."""
        return replace(row, column=self._headers.get(row.column or "", row.column))

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Replace addresses by headers in the `InvalidRows` raised within."""
        try:
            yield
        except InvalidRows as exc:
            rows = [self.in_its_words(row) for row in exc.rows]
            raise InvalidRows(rows, count=exc.count, accepted=exc.accepted) from exc

    def _csv(self, lines: Iterable[str], separator: str) -> Iterator[Row | InvalidJob]:
        csv.field_size_limit(_LONGEST_CELL)
        reader = reader_of(lines, separator)
        meanings = [self._meaning(name) if name else None for name in self._header(reader)]
        while True:
            first = self._lines.read + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                yield self._bad_row(first, f"is no CSV: {exc}", is_cut=_is_cut(exc))
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if flaw := _flaw(cells, meanings):
                yield self._bad_row(first, flaw)
            else:
                yield _row(meanings, cells)

    def _bad_row(self, first: int, why: str, *, is_cut: bool = False) -> InvalidJob:
        """Return the error of the row that began at line *first*, if it has one line only.

        Raises:
            InvalidJob: it has several lines: an unclosed quotation mark may have joined many rows.
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
                f"there is no column {short(unused[0])!r}; columns are: "
                f"{', '.join(map(printable, header))}",
                field="--map",
            )
        return header

    def _meaning(self, header: str) -> _Meaning:
        """Return what a column sets (`set`, `inputs` or `metadata`) and its address there."""
        address = self._columns.get(header, header)
        if address.startswith(_METADATA):
            part, address = "metadata", address.removeprefix(_METADATA)
            column = f"{_METADATA}{address}"
        else:
            part = "inputs" if address.startswith(_INPUT) else "set"
            address = column = address.removeprefix(_INPUT)
            self._check(header, address, part)
        if column in self._headers:
            raise InvalidJob(
                f"columns {self._headers[column]!r} and {header!r} set the same", field="rows"
            )
        self._headers[column] = header
        return part, address

    def _check(self, header: str, address: str, part: str) -> None:
        try:
            self._addresses.find(address, among=part)
        except InvalidGraph as exc:
            advice = f"{exc.advice}; " if exc.advice else ""
            raise InvalidJob(
                f"column {short(header)!r}: {exc.message}",
                field="rows",
                advice=f"{advice}--map '{printable(header)}=ADDRESS' says what it sets",
            ) from exc

    def _json(self, lines: Iterable[str]) -> Iterator[Row | Mapping[str, Any] | InvalidJob]:
        for line in lines:
            if line.strip():
                yield _row_of_json(line)


def _flaw(cells: list[str], meanings: Sequence[_Meaning | None]) -> str | None:
    """Return why *cells* do not fit the columns, else None; removes empty cells beyond the last column."""
    while len(cells) > len(meanings) and not cells[-1].strip():
        cells.pop()
    if len(cells) != len(meanings):
        return f"has {len(cells)} cells, the header {len(meanings)}"
    for number, (meaning, cell) in enumerate(zip(meanings, cells, strict=True), 1):
        if meaning is None and cell.strip():
            return f"has something in column {number}, which has no name"
    return None


def _row(meanings: Sequence[_Meaning | None], cells: Sequence[str]) -> Row:
    parts: dict[str, dict[str, str]] = {"set": {}, "inputs": {}, "metadata": {}}
    for meaning, cell in zip(meanings, cells, strict=True):
        if meaning is not None:
            parts[meaning[0]][meaning[1]] = cell
    return Row(parts["set"], parts["inputs"], parts["metadata"])


def _row_of_json(line: str) -> RowLike:
    try:
        found = json.loads(line, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as exc:
        return _unreadable(f"it is no JSON: {exc.msg.removesuffix(' at')} at column {exc.colno}")
    except (ValueError, RecursionError) as exc:
        return _unreadable(f"it is no JSON: {exc}")
    except InvalidJob as exc:
        return exc
    return row_of_json(found)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _unreadable(f"it says {printable(said_twice(pairs))} twice in one object")
    return found


def _is_cut(error: csv.Error) -> bool:
    """Tell whether a quoted cell was not closed before the end of the file or the length limit."""
    return str(error).startswith(("unexpected end of data", "field larger than field limit"))


def _unreadable(why: str) -> InvalidJob:
    return InvalidJob(why, field="params.")
