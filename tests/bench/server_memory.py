"""Memory of a server on this machine, by the address that it listens on (Linux)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_PROC: Final = Path("/proc")
#: State of a socket that listens, in /proc/net/tcp.
_LISTENS: Final = "0A"
#: Written to `clear_refs`: the peak is counted from now on.
_FORGET_PEAK: Final = "5"


class ServerMemory:
    """The resident memory of the process behind *url*, in MB."""

    def __init__(self, url: str) -> None:
        self._process = _PROC / str(server_pid(url))

    def now(self) -> float:
        """Return what it takes; its peak is counted from here."""
        (self._process / "clear_refs").write_text(_FORGET_PEAK)
        return self._read("VmRSS")

    def peak(self) -> float:
        """Return the most that it took since `now`."""
        return self._read("VmHWM")

    def _read(self, what: str) -> float:
        found = re.search(
            rf"^{what}:\s+(\d+) kB$", (self._process / "status").read_text(), re.MULTILINE
        )
        assert found, what
        return int(found[1]) * 1024 / 1e6


def server_pid(url: str) -> int:
    """Return the process that listens at *url*.

    Raises:
        SystemExit: none on this machine does that may be looked at.
    """
    port = urlsplit(url).port
    rows = [line.split() for line in (_PROC / "net/tcp").read_text().splitlines()[1:]]
    wanted = {
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) == port
    }
    for link in _PROC.glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in wanted:
                return int(link.parts[2])
        except OSError:  # it has ended, or is somebody else's
            continue
    raise SystemExit(f"nothing on this machine listens at {url} that may be looked at")
