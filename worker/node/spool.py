"""The spool folder of a worker: files on their way between node and S3."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from producer.store.attempts import Hold
from worker.errors import SpoolFault
from worker.node.private_folder import make_private

#: More than a file system gives for nothing.
_PROBE: Final = b"\0" * 65_536


class Spool:
    """A folder of one worker, with one of its own for each attempt."""

    def __init__(self, folder: Path, *, node: str) -> None:
        self._folder = folder
        self._node = node

    def clear(self) -> None:
        """Forget what a killed predecessor left: it is fetched again."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def problem(self) -> str:
        """Return why no file can be written; empty if one can."""
        probe = self._folder / "probe"
        try:
            make_private(self._folder)
            probe.write_bytes(_PROBE)
            probe.unlink()
        except OSError as exc:
            return f"its worker cannot write to {self._folder}: {exc.strerror}"
        return ""

    def shared_folder(self) -> Path:
        """Return the folder itself, for what is of no attempt; it is there."""
        make_private(self._folder)
        return self._folder

    @contextmanager
    def attempt_folder(self, hold: Hold) -> Iterator[Path]:
        """Yield a folder for an attempt, which goes with the block.

        Raises:
            SpoolFault: it cannot be made.
        """
        folder = self._folder / f"{hold.job_id}-{hold.attempt}"
        try:
            make_private(self._folder)
            folder.mkdir(exist_ok=True)
        except OSError as exc:
            raise self.fault(exc) from exc
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def fault(self, error: OSError) -> SpoolFault:
        """Return what to say when a file could not be written."""
        return SpoolFault(self._node, f"its worker cannot spool files: {error.strerror}")
