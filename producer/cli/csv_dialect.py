"""CSV dialect of a file of rows: its encoding (also of JSON lines), and its cell separator.

Spreadsheets write by the locale's custom: semicolons or tabs between cells, `sep=;` on the first
line, UTF-16 for "Unicode text".
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
    """Iterates over the lines of a file and counts them; raises InvalidJob for bytes of another encoding."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.read = 0  #: Lines given so far.

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except UnicodeDecodeError as exc:
            # The file is decoded in blocks: count the lines of this block that precede the bad byte.
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
    """Open a file of rows as text: UTF-8, or UTF-16 with a byte order mark; `-` is standard input.

    Raises:
        InvalidJob: the file cannot be opened.
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
    """Return the separator that a first line as `sep=;` declares; None if it is no such line."""
    text = line.strip("\r\n\ufeff").strip('"')
    is_one = text.lower().startswith(_SAID) and len(text) == len(_SAID) + 1
    return text[-1] if is_one else None


def separator_of(header: str) -> str:
    """Return the separator of a header's cells: of `,`, `;` and tab the most frequent outside quotes."""
    outside = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)


def reader_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """Yield each CSV row as a list of cells; raises `csv.Error`."""
    return csv.reader(lines, strict=True, delimiter=separator)
