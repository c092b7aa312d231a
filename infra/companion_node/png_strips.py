"""PNG files that several threads compress at once, by strips of rows.

Pillow chooses the filters, of each strip for itself, and writes all other chunks; zlib compresses
the strips, which are one stream in the file. So a file has the pixels, metadata and about the size
that Pillow gives it, and other compressed bytes.
"""

from __future__ import annotations

import io
import math
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Bytes a pixel of the modes that are written so.
_PIXEL_BYTES: Final = {"L": 1, "RGB": 3, "RGBA": 4}
#: Of pixels; smaller ones cost more than the second thread saves, larger ones leave threads idle.
_STRIP_BYTES: Final = 1 << 18
_LEAST_STRIPS: Final = 4
_HEAD: Final = struct.Struct(">I4s")
_CRC: Final = struct.Struct(">I")
_ADLER: Final = 65_521
#: What Pillow tells zlib: bits of the window, memory, and its strategy for filtered pixels.
_WINDOW, _MEMORY, _STRATEGY = 15, 9, zlib.Z_FILTERED
_LOOKS_BACK: Final = 1 << _WINDOW
_HIGHEST_LEVEL: Final = 9


class _Packed(NamedTuple):
    """A strip's part of the stream, and what the whole stream's checksum takes."""

    stream: bytes
    adler: int
    length: int
    seconds: float  #: Of a core.


@dataclass(frozen=True)
class _Picture:
    """A Pillow image and how it is compressed."""

    crop: Callable[[tuple[int, int, int, int]], Any]
    width: int
    height: int
    level: int

    def packed(self, first: int, rows: int) -> _Packed:
        """Return up to *rows* rows, filtered and compressed."""
        began = time.thread_time()
        end = min(first + rows, self.height)
        # With them such rows before as zlib looks back at, and one more: filters look at the row above.
        before = min(first, 1 + math.ceil(_LOOKS_BACK * rows / _STRIP_BYTES))
        strip = _saved(self.crop((0, first - before, self.width, end)), {"compress_level": 0})
        stored = b"".join(content for kind, content in _chunks(strip) if kind == b"IDAT")
        filtered = memoryview(zlib.decompress(stored))
        row = len(filtered) // (before + end - first)
        earlier, filtered = filtered[row : before * row], filtered[before * row :]
        packer = zlib.compressobj(
            *(self.level, zlib.DEFLATED, -_WINDOW, _MEMORY, _STRATEGY),
            bytes(earlier[-_LOOKS_BACK:]),
        )
        mode = zlib.Z_FINISH if end == self.height else zlib.Z_SYNC_FLUSH
        stream = packer.compress(filtered) + packer.flush(mode)
        return _Packed(stream, zlib.adler32(filtered), len(filtered), time.thread_time() - began)


def save_png(image: Any, path: str, threads: Executor, **options: Any) -> float | None:
    """Write a Pillow image to a file, and return how many seconds less that took than in one thread.

    Args:
        threads: have nothing to do that waits for this.
        options: of Pillow's `save`.

    Returns:
        None: it is to be saved as ever, and nothing was written.
    """
    rows = _rows_of_a_strip(image, path, options)
    if rows is None:
        return None
    # An image that is made when it is asked for `crop` is made here, and once.
    picture = _Picture(image.crop, image.width, image.height, options["compress_level"])
    firsts = range(0, image.height, rows)
    try:
        strips = [threads.submit(picture.packed, first, rows) for first in firsts]
    except RuntimeError:  # ComfyUI ends, and its threads take nothing new
        return None
    began = time.monotonic()
    try:
        sample = _saved(picture.crop((0, 0, 1, 1)), options)
        _write(sample, (picture.width, picture.height), path, strips)
    finally:
        for strip in strips:
            strip.cancel()
    return sum(strip.result().seconds for strip in strips) - (time.monotonic() - began)


def _rows_of_a_strip(image: Any, path: str, options: dict[str, Any]) -> int | None:
    level = options.get("compress_level")
    pixel_bytes = _PIXEL_BYTES.get(image.mode)
    if options.keys() - {"compress_level", "pnginfo"} or not path.endswith(".png"):
        return None
    if pixel_bytes is None or not isinstance(level, int) or not 0 < level <= _HIGHEST_LEVEL:
        return None
    rows = max(1, _STRIP_BYTES // (image.width * pixel_bytes))
    return rows if image.height >= _LEAST_STRIPS * rows else None


def _write(sample: bytes, size: tuple[int, int], path: str, strips: list[Future[_Packed]]) -> None:
    """Write all that an image of one pixel has in its file, with another size and other pixels."""
    with open(path, "wb") as file:  # noqa: PTH123 - a str, as Pillow has it
        file.write(_SIGNATURE)
        for kind, content in _chunks(sample):
            if kind == b"IHDR":
                _write_chunk(file.write, kind, struct.pack(">II", *size) + content[8:])
            elif kind == b"IDAT":
                for part in _stream(strips, head=content[:2]):
                    _write_chunk(file.write, kind, part)
            else:
                _write_chunk(file.write, kind, content)


def _stream(strips: list[Future[_Packed]], *, head: bytes) -> Iterator[bytes]:
    """Return the parts of one zlib stream, as each is there."""
    adler = 1
    for number, future in enumerate(strips, 1):
        strip = future.result()
        adler = _adler_of_both(adler, strip.adler, strip.length)
        end = _CRC.pack(adler) if number == len(strips) else b""
        yield head + strip.stream + end
        head = b""


def _adler_of_both(first: int, second: int, length: int) -> int:
    """Return Adler-32 of two pieces by that of each, and the second's length."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)
    return high % _ADLER << 16 | low % _ADLER


def _saved(image: Any, options: dict[str, Any]) -> bytes:
    held = io.BytesIO()
    image.save(held, "PNG", **options)
    return held.getvalue()


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return type and content of each chunk of a PNG that Pillow has just made."""
    place = len(_SIGNATURE)
    while place < len(png):
        length, kind = _HEAD.unpack_from(png, place)
        place += _HEAD.size
        yield kind, png[place : place + length]
        place += length + _CRC.size


def _write_chunk(write: Callable[[bytes], object], kind: bytes, content: bytes) -> None:
    write(_HEAD.pack(len(content), kind))
    write(content)
    write(_CRC.pack(zlib.crc32(content, zlib.crc32(kind))))
