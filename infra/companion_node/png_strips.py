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
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Bytes a pixel of the modes that are written so.
_PIXEL_BYTES: Final = {"L": 1, "RGB": 3, "RGBA": 4}
#: Of pixels; smaller ones cost more than the second thread saves, larger ones leave threads idle.
_STRIP_BYTES: Final = 1 << 18
_LEAST_STRIPS: Final = 4
#: Of a picture, that are compressed or wait to be: a disk that is slow leaves no more of it in memory.
_MOST_AHEAD: Final = 32
_HEAD: Final = struct.Struct(">I4s")
_CRC: Final = struct.Struct(">I")
_ADLER: Final = 65_521
#: What Pillow tells zlib: bits of the window, memory, and its strategy for filtered pixels.
_WINDOW, _MEMORY, _STRATEGY = 15, 9, zlib.Z_FILTERED
_LOOKS_BACK: Final = 1 << _WINDOW
_HIGHEST_LEVEL: Final = 9
#: In the version of a zlib-ng that stands for zlib: that of Pillow 11.1 and later on Windows.
_NG: Final = "zlib-ng"


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

    def strips(self, rows: int, threads: Executor) -> Generator[_Packed, None, None]:
        """Return all strips of *rows* rows in their order, as they are there."""
        ahead: deque[Future[_Packed]] = deque()
        try:
            for first in range(0, self.height, rows):
                ahead.append(threads.submit(self.packed, first, rows))
                if len(ahead) == _MOST_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for strip in ahead:
                strip.cancel()

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

    Raises:
        Exception: it may be saved as ever, which tells what is wrong with it. Here *threads* may have ended, or
            memory.
    """
    rows = _rows_of_a_strip(image, path, options)
    if rows is None or not _is_saved_by_pillow_alone(image) or _has_pillow_a_faster_zlib():
        return None
    began = time.monotonic()
    # An image that is made when it is asked for `crop` is made by now.
    picture = _Picture(image.crop, image.width, image.height, options["compress_level"])
    sample = _saved(picture.crop((0, 0, 1, 1)), options)
    with closing(picture.strips(rows, threads)) as strips:
        seconds = _write(sample, (picture.width, picture.height), path, strips)
    return seconds - (time.monotonic() - began)


def _rows_of_a_strip(image: Any, path: str, options: dict[str, Any]) -> int | None:
    level = options.get("compress_level")
    pixel_bytes = _PIXEL_BYTES.get(image.mode)
    if options.keys() - {"compress_level", "pnginfo"} or not path.endswith(".png"):
        return None
    if pixel_bytes is None or not isinstance(level, int) or not 0 < level <= _HIGHEST_LEVEL:
        return None
    rows = max(1, _STRIP_BYTES // (image.width * pixel_bytes))
    return rows if image.height >= _LEAST_STRIPS * rows else None


def _is_saved_by_pillow_alone(image: Any) -> bool:
    """Tell whether nobody has changed how Pillow saves.

    Custom nodes replace its class or its `save`, to encrypt or mark pictures: that takes whole
    ones, and files.
    """
    from PIL import Image, PngImagePlugin  # noqa: PLC0415 - a stand-in may have none

    whole = getattr(image.crop, "__self__", None)
    at_home: list[tuple[Any, Any]] = [
        (Image.Image.save, Image),
        (Image.Image.crop, Image),
        (Image.SAVE.get("PNG"), PngImagePlugin),
    ]
    return type(whole) is Image.Image and all(
        getattr(function, "__globals__", None) is vars(module) for function, module in at_home
    )


def _has_pillow_a_faster_zlib() -> bool:
    """Tell whether Pillow compresses by zlib-ng and Python does not: strips would take twice as much of a core."""
    from PIL import features  # noqa: PLC0415 - as above

    return _NG in str(features.version("zlib")) and _NG not in zlib.ZLIB_RUNTIME_VERSION


def _write(sample: bytes, size: tuple[int, int], path: str, strips: Iterable[_Packed]) -> float:
    """Write all that an image of one pixel has in its file, with another size and other pixels.

    Return the seconds of a core that these took.
    """
    seconds = 0.0
    with open(path, "wb") as file:  # noqa: PTH123 - a str, as Pillow has it
        file.write(_SIGNATURE)
        for kind, content in _chunks(sample):
            if kind == b"IHDR":
                _write_chunk(file.write, kind, struct.pack(">II", *size) + content[8:])
            elif kind == b"IDAT":
                seconds += _write_stream(file.write, strips, head=content[:2])
            else:
                _write_chunk(file.write, kind, content)
    return seconds


def _write_stream(
    write: Callable[[bytes], object], strips: Iterable[_Packed], *, head: bytes
) -> float:
    """Write the chunks that are one zlib stream; return the seconds of a core that they took."""
    adler, seconds = 1, 0.0
    for strip in strips:
        _write_chunk(write, b"IDAT", head + strip.stream)
        adler = _adler_of_both(adler, strip.adler, strip.length)
        seconds += strip.seconds
        head = b""
    _write_chunk(write, b"IDAT", _CRC.pack(adler))
    return seconds


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
