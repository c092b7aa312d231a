"""One worker a node name on this host: a file lock that the kernel drops with the process."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import Self

from producer.contract.errors import NodeNameTaken


class NameLock:
    """Holds a node's name against every other worker of this user on this host.

    A worker that was killed holds nothing any more, so its successor need not wait for the
    predecessor's lease: who has the lock is alone.

    Raises:
        NodeNameTaken: another process holds it.
    """

    def __init__(self, node: str) -> None:
        folder = Path(tempfile.gettempdir()) / f"comfyfleet-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = folder / f"{node}.lock"
        self._file = self.path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            holder = self._holder()
            self._file.close()
            raise NodeNameTaken(node, f"process {holder} on this host") from exc
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def close(self) -> None:
        """Give the name up."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _holder(self) -> str:
        self._file.seek(0)
        return self._file.read() or "?"
