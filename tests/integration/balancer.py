"""A balancer before some servers, as plain as they come: each connection goes to the next one that takes it."""

from __future__ import annotations

import itertools
import select
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

_CONNECTS_WITHIN_S: Final = 2.0
_PIECE: Final = 65_536


class Balancer(socketserver.ThreadingTCPServer):
    """Passes bytes on; `taken` has for each connection the number of the server that took it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, servers: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        places = [urlsplit(server) for server in servers]
        self.places = [(place.hostname or "", place.port or 0) for place in places]
        self.turn = itertools.count()
        self.taken: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def connect(self) -> socket.socket | None:
        """Return a connection to the next server that is up."""
        begin = next(self.turn)
        for number in range(begin, begin + len(self.places)):
            with suppress(OSError):
                place = self.places[number % len(self.places)]
                found = socket.create_connection(place, timeout=_CONNECTS_WITHIN_S)
                self.taken.append(number % len(self.places))
                return found
        return None


class _Passing(socketserver.BaseRequestHandler):
    server: Balancer

    def handle(self) -> None:
        """Pass bytes on both ways until one of the two ends."""
        other = self.server.connect()
        if other is None:
            return
        with other, suppress(OSError):
            pairs = {self.request: other, other: self.request}
            while True:
                ready, _, _ = select.select(list(pairs), [], [])
                for one in ready:
                    piece = one.recv(_PIECE)
                    if not piece:
                        return
                    pairs[one].sendall(piece)


@contextmanager
def balanced(servers: Sequence[str]) -> Iterator[Balancer]:
    """Yield a balancer before servers, by their addresses."""
    with Balancer(servers) as balancer:
        thread = threading.Thread(target=balancer.serve_forever, daemon=True)
        thread.start()
        try:
            yield balancer
        finally:
            balancer.shutdown()
            thread.join()
