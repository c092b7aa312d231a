"""A thousand clients of a stream, in a process of their own: `python -m tests.bench.fanout_clients`.

It is told what to do on stdin and answers on stdout, one JSON a line:

    {"publish": [job id, ...], "every_s": S, "each": N}   publish an event of each of these jobs in
        turn, and wait until each has come to N clients
    {"expect": E, "each": N}   wait for E events that somebody else sends

The answer is `{"sent": [...], "last": [...]}`: when each event was published, and when its last client
had it, in seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

from redis import Redis

from producer.store import keys, limits

_PATIENCE_S = 60


class Clients:
    """Sockets that read all they get, and count the events in it."""

    def __init__(self, port: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._heard: dict[int, int] = {}
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.settimeout(0)
            self._selector.register(connection, selectors.EVENT_READ)
            self._heard[connection.fileno()] = 0

    def begin(self, events: int, *, each: int) -> None:
        """Expect so many events, each at so many of the clients."""
        self._heard = dict.fromkeys(self._heard, 0)
        self._missing = [each] * events
        self._each = each
        self.left = events * each
        self.last = [0.0] * events

    def hear(self, wait_s: float) -> None:
        """Read what there is, or comes within *wait_s*."""
        for key, _ in self._selector.select(max(0.0, wait_s)):
            data = key.fileobj.recv(1 << 20)
            now = time.monotonic()
            for _ in range(data.count(b"\n\n")):
                self._count(key.fd, now)

    def _count(self, fd: int, now: float) -> None:
        self.left -= 1
        if self._each == 1:  # anybody's
            return
        number = self._heard[fd]
        self._heard[fd] += 1
        self._missing[number] -= 1
        if not self._missing[number]:
            self.last[number] = now


def main() -> None:
    """Serve until stdin ends."""
    port, redis_url, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with Redis.from_url(redis_url) as redis:
        clients = Clients(port, count)
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            jobs = order.get("publish", [])
            clients.begin(len(jobs) or order["expect"], each=order["each"])
            sent = _publish(redis, clients, jobs, every_s=order.get("every_s", 0))
            deadline = time.monotonic() + _PATIENCE_S
            while clients.left > 0:
                clients.hear(0.5)
                assert time.monotonic() < deadline, f"{clients.left} events did not come"
            print(json.dumps({"sent": sent, "last": clients.last}), flush=True)


def _publish(redis: Redis, clients: Clients, jobs: list[str], *, every_s: float) -> list[float]:
    sent: list[float] = []
    begin = time.monotonic()
    for number, job in enumerate(jobs):
        while (left := begin + number * every_s - time.monotonic()) > 0:
            clients.hear(left)
        sent.append(time.monotonic())
        redis.xadd(keys.EVENTS, _event(job, number), maxlen=limits.EVENTS_KEPT, approximate=True)
    return sent


def _event(job: str, number: int) -> dict[str, str | int]:
    """Return an event as a worker's note of progress makes it."""
    progress = {"graph_node": "3", "value": number, "max": 20, "graph_nodes": 7}
    return {
        "job": job,
        "n": number,
        "type": "progress",
        "status": "running",
        "attempt": 1,
        "node": "gpu-03",
        "at": 1_790_000_000_000,
        "progress": json.dumps(progress),
    }


if __name__ == "__main__":
    main()
