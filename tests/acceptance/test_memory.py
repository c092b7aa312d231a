"""A worker's memory does not grow with what it stores."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from tests.graphs import sound

MIB = 1 << 20
#: Samples of two bytes, 8,000 a second: 200 MB.
LONG_S, SHORT_S = 12_500, 60


def rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_storing_200_mb_costs_a_worker_less_than_24_mib(fleet, stack, record_property):
    node = stack.nodes[0]
    pid = stack.pid(f"worker-{node.name}")
    # Code and connections are there after a first job; what is left is the artifact's.
    fleet.wait(fleet.submit(sound(SHORT_S), pin=node.name).id, timeout=timedelta(seconds=30))
    idle = peak = rss(pid)
    job = fleet.submit(sound(LONG_S), pin=node.name)
    deadline = time.monotonic() + 90
    while not fleet.get(job.id).done and time.monotonic() < deadline:
        peak = max(peak, rss(pid))
    [artifact] = fleet.wait(job.id, timeout=timedelta(0)).artifacts
    record_property("worker RSS", f"idle {idle / MIB:.0f} MiB, +{(peak - idle) / MIB:.1f} MiB")
    assert artifact.bytes >= 200_000_000
    assert peak - idle < 24 * MIB
