"""File lock: one worker a node name, fleet and host; the kernel releases it when the process ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Self, TextIO

from producer.contract.errors import InvalidSettings, NodeNameTaken
from worker.node.private_folder import make_private


def node_path(node: str, *, fleet: str, suffix: str) -> Path:
    """Return where this host keeps something of the node's worker; the same after a restart."""
    digest = hashlib.sha256(fleet.encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"comfyfleet-{os.getuid()}"
    return folder / f"{node}-{digest}{suffix}"


class NameLock:
    """Holds a node's name in a fleet against every other worker of this user on this host.

    A worker that was killed holds nothing any more, so its successor need not wait for the
    predecessor's lease: who has the lock is alone.

    Args:
        fleet: tells fleets apart; the address of their Redis.

    Raises:
        NodeNameTaken: another process holds it.
        InvalidSettings: the folder for locks is not this user's alone.
    """

    def __init__(self, node: str, *, fleet: str) -> None:
        self._node = node
        self.path = node_path(node, fleet=fleet, suffix=".lock")
        self._file = self._opened()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            holder = self._holder()
            self._file.close()
            raise NodeNameTaken(node, f"process {holder} on this host") from exc
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def _opened(self) -> TextIO:
        try:
            make_private(self.path.parent)
            # No link is followed: it could name a file that is not to be written over.
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.fdopen(os.open(self.path, flags, 0o600), "a+")
        except OSError as exc:
            raise InvalidSettings(
                f"the lock of node {self._node} cannot be taken: {exc.strerror}",
                advice="remove what is there, or set TMPDIR to a folder of this user's own",
            ) from exc

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
