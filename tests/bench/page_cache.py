"""What of a file lies in the page cache, and how it gets out of there (Linux)."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import Final

#: Of a file that was dropped, what may still be there: the cache holds blocks larger than a page.
_LEFT: Final = 0.01
_FAILED: Final = ctypes.c_void_p(-1).value


class NotCold(Exception):
    """The file stays in memory: it is mapped, or its file system holds it by itself."""


def drop(file: Path) -> None:
    """Have the page cache forget *file*.

    Raises:
        NotCold: it does not.
    """
    with file.open("rb") as opened:
        os.fsync(opened.fileno())  # only what is written can be forgotten
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if (left := resident(file)) > _LEFT:
        raise NotCold(f"{file}: {100 * left:.0f} % stays in memory")


def resident(file: Path) -> float:
    """Return which part of *file* lies in memory; a read would bring it there, `mincore` does not."""
    size = ctypes.c_size_t(file.stat().st_size)
    pages = (ctypes.c_ubyte * -(-size.value // mmap.PAGESIZE))()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    with file.open("rb") as opened:
        mapped = libc.mmap(
            None, size, mmap.PROT_READ, mmap.MAP_SHARED, opened.fileno(), ctypes.c_long(0)
        )
    if mapped == _FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    try:
        if libc.mincore(ctypes.c_void_p(mapped), size, pages):
            raise OSError(ctypes.get_errno(), "mincore")
    finally:
        libc.munmap(ctypes.c_void_p(mapped), size)
    return sum(page & 1 for page in pages) / len(pages)
