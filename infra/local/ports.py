"""Ports of our own on the loopback address."""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

#: Above a twin port; SeaweedFS serves gRPC there.
TWIN_OFFSET: Final = 10_000

# All below 32,768, from where Linux takes the ports of outgoing connections (macOS: 49,152), so
# that none of those sits on a kept port when its service comes back.
_TWINS: Final = range(20_000, 22_768)
_SINGLES: Final = range(22_768, 30_000)
#: Those that this process has given last: their servers may not listen yet, and another call would give them again.
_given: Final[deque[int]] = deque(maxlen=1_000)


def choose_ports(names: Iterable[str], kept: Mapping[str, int]) -> dict[str, int]:
    """Return a free port for each of *names*: the *kept* one where nobody else has it."""
    return _choose(names, kept, _SINGLES, is_free)


def choose_twin_ports(names: Iterable[str], kept: Mapping[str, int]) -> dict[str, int]:
    """Do as `choose_ports`; the port `TWIN_OFFSET` above each one is free, too."""
    return _choose(names, kept, _TWINS, lambda port: is_free(port) and is_free(port + TWIN_OFFSET))


def is_free(port: int) -> bool:
    """Tell whether a server could listen on *port* of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: a port whose connections have just been closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _choose(
    names: Iterable[str], kept: Mapping[str, int], choice: range, suits: Callable[[int], bool]
) -> dict[str, int]:
    chosen: dict[str, int] = {}
    given = frozenset(_given)
    for name in names:
        preferred = [kept[name]] if name in kept else []
        others = (port for port in random.sample(choice, len(choice)) if port not in given)
        chosen[name] = next(
            port for port in (*preferred, *others) if port not in chosen.values() and suits(port)
        )
        _given.append(chosen[name])
    return chosen
