"""Brings files into the page cache that the next prompt will load, beside the present one.

Only by what ComfyUI lists as models itself, within memory that is free, and never on a machine that swaps.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What may be announced at once, and how long a name may be.
MOST_NAMES, LONGEST_NAME = 64, 1024
_CHUNK_BYTES = 4 << 20
#: Memory is looked at again after so many bytes.
_LOOK_EVERY_BYTES = 64 << 20
#: So much stays free whatever is announced: bytes, and a share of all memory.
_RESERVE_BYTES, _RESERVE_SHARE = 2 << 30, 0.1
#: Pages that are swapped within so long tell a machine that swaps, s.
_SWAP_SAMPLE_S = 0.25

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Memory:
    """A machine's memory, or a container's, in bytes; `swapped` counts what ever went in or out."""

    total: int
    available: int
    swapped: int

    @property
    def spare(self) -> int:
        """Bytes that may be used for what only may be needed."""
        return self.available - max(_RESERVE_BYTES, int(self.total * _RESERVE_SHARE))


class Preloader:
    """One thread that reads what was announced last.

    Args:
        resolve: returns the files that ComfyUI has under a name; none for what it does not list.
        memory: returns how memory is now; None where nobody can tell, and nothing is read.
    """

    def __init__(
        self, resolve: Callable[[str], Iterable[Path]], memory: Callable[[], Memory | None]
    ) -> None:
        self._resolve, self._memory = resolve, memory
        self._changed = threading.Condition()
        self._announced: Sequence[str] | None = None
        self._is_busy = False
        self._counts = {"announced": 0, "files": 0, "bytes": 0, "unknown": 0}
        self._skipped = {"memory": 0, "swapping": 0, "failed": 0}
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="comfyfleet-preloading", daemon=True).start()

    def announce(self, names: Sequence[str]) -> None:
        """Have the files of *names* read; what was announced before and has not begun is dropped."""
        with self._changed:
            self._announced = names
            self._counts["announced"] += len(names)
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    def status(self) -> dict[str, Any]:
        """Return what was announced and read, why anything was skipped, and whether it reads."""
        with self._changed:
            is_busy = self._is_busy or self._announced is not None
            return {**self._counts, "skipped": dict(self._skipped), "busy": is_busy}

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._changed:
                self._changed.wait_for(
                    lambda: self._announced is not None or self._stopped.is_set()
                )
                names, self._announced = self._announced or (), None
                self._is_busy = True
            try:
                self._read_all(names)
            except Exception:  # noqa: BLE001 - without this thread nothing is announced any more
                _log.exception("comfyfleet companion: models are not read ahead")
            finally:
                with self._changed:
                    self._is_busy = False

    def _read_all(self, names: Sequence[str]) -> None:
        found: dict[Path, None] = {}
        for name in names:
            paths = [path.resolve() for path in self._resolve(name)]
            if not paths:
                self._count("unknown")
            found.update(dict.fromkeys(paths))
        before = self._memory()
        if not found or before is None or self._stopped.wait(_SWAP_SAMPLE_S):
            return
        for path in found:
            if self._announced is not None:  # something else comes first by now
                return
            try:
                why = self._read(path, swapped=before.swapped)
            except OSError as exc:
                _log.warning("comfyfleet companion: %s is not read ahead: %s", path, exc)
                why = "failed"
            if why:
                with self._changed:
                    self._skipped[why] += 1
                if why != "failed":
                    return

    def _read(self, path: Path, *, swapped: int) -> str | None:
        """Read *path* to its end; return why not."""
        buffer = bytearray(_CHUNK_BYTES)
        with path.open("rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return "failed"
            left, until_look = found.st_size, 0
            while left > 0:
                if until_look <= 0:
                    if why := self._problem(left, swapped):
                        return why
                    until_look = _LOOK_EVERY_BYTES
                count = file.readinto(buffer)
                if not count:
                    break
                left, until_look = left - count, until_look - count
                self._count("bytes", count)
        self._count("files")
        return None

    def _problem(self, wanted: int, swapped: int) -> str | None:
        memory = self._memory()
        if memory is None or memory.swapped != swapped:
            return "swapping"
        return None if wanted <= memory.spare else "memory"

    def _count(self, what: str, by: int = 1) -> None:
        with self._changed:
            self._counts[what] += by


def announced(body: Any) -> list[str] | None:
    """Return the names in `{"models": [...]}`; None if it is no such thing."""
    names = body.get("models") if isinstance(body, dict) else None
    if not isinstance(names, list) or len(names) > MOST_NAMES:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in names):
        return None
    return names
