"""The text of a file of rows: its encoding, and how its cells are separated.

Spreadsheets save by the customs of their country: semicolons or tabs between cells, `sep=;` on the
first line, UTF-16 for "Unicode text".
"""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from producer.contract.errors import InvalidJob

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATORS: Final = (",", ";", "\t")
_SAID: Final = "sep="


class Lines(Iterator[str]):
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
                f"line {at:,} is no {exc.encoding.upper()}: "
                f"byte 0x{exc.object[exc.start]:02x}, {exc.reason}",
                field="rows",
                advice="save the file as UTF-8, in Excel as “CSV UTF-8”",
            ) from exc
        self.read += 1
        return line


def open_rows(name: str) -> io.TextIOBase:
    """Open a file of rows; `-` is standard input. UTF-8, or UTF-16 with its mark at the beginning.

    Raises:
        InvalidJob: it cannot be read.
    """
    try:
        binary = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115 - the caller closes it
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise InvalidJob(f"{name} cannot be read: {why}", field="rows") from exc
    return io.TextIOWrapper(binary, _encoding(binary), newline="")


def _encoding(binary: BinaryIO) -> str:
    begin = binary.peek(2)[:2] if isinstance(binary, io.BufferedReader) else b""
    return "utf-16" if begin in _UTF_16 else "utf-8-sig"


def said_separator(line: str) -> str | None:
    """Return the separator that a first line `sep=;` tells of, if it is one."""
    text = line.strip("\r\n\ufeff").strip('"')
    is_one = text.lower().startswith(_SAID) and len(text) == len(_SAID) + 1
    return text[-1] if is_one else None


def separator_of(header: str) -> str:
    """Return what separates the cells of a header: what stands most often outside its quotes."""
    outside = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)


def reader_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """Return the rows of CSV as lists of cells; raises `csv.Error`."""
    return csv.reader(lines, strict=True, delimiter=separator)
