"""Memory of this machine, or of the container that it is (cgroup 2), as Linux tells it."""

from __future__ import annotations

from pathlib import Path

from .preloading import Memory

_PROC, _GROUP = Path("/proc"), Path("/sys/fs/cgroup")


def read_memory(proc: Path = _PROC, group: Path = _GROUP) -> Memory | None:
    """Return how memory is now; None on other systems."""
    try:
        found, counts = _numbers(proc / "meminfo"), _numbers(proc / "vmstat")
        total, available = 1024 * found["MemTotal"], 1024 * found["MemAvailable"]
        swapped = counts["pswpin"] + counts["pswpout"]
    except (OSError, ValueError, KeyError):
        return None
    if (limited := _group_memory(group)) is not None:
        total, available = min(total, limited[0]), min(available, limited[1])
    return Memory(total=total, available=available, swapped=swapped)


def _group_memory(group: Path) -> tuple[int, int] | None:
    """Return limit and what is left of it; cached files that were not used lately count as left."""
    try:
        limit = int((group / "memory.max").read_text())  # "max" where there is none
        used = int((group / "memory.current").read_text())
        cached = _numbers(group / "memory.stat").get("inactive_file", 0)
    except (OSError, ValueError):
        return None
    return limit, limit - used + cached


def _numbers(path: Path) -> dict[str, int]:
    """Read lines as `MemTotal:  1024 kB` or `pswpin 0`."""
    words = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {name: int(number) for name, number, *_ in words}
