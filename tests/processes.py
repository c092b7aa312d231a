"""What the operating system says of processes and ports."""

from __future__ import annotations

from pathlib import Path


def is_running(pid: int) -> bool:
    """Tell whether process *pid* is there and no zombie."""
    try:
        return _stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> set[int]:
    """Return the ids of the processes that *pid* started, and those they started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def command_line(pid: int) -> str:
    """Return how *pid* was started, as any user of the machine can see it."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def listening_addresses(pid: int) -> set[tuple[str, int]]:
    """Return host and port of each TCP socket on which *pid* listens; hosts as in /proc: hex."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        target = str(fd.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_rest = fields = line.split()
            if state == "0A" and fields[9] in inodes:
                host, port = local.split(":")
                found.add((host, int(port, 16)))
    return found


def _stat(pid: int) -> list[str]:
    """Return state, parent and so on of *pid*."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
