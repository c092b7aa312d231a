"""The HTTP connections on which a call waits, so that another thread can end them.

A socket from which nothing comes, or a byte a second, wakes nobody, and closing it does not either.
One that is shut down wakes its reader and its writer (shutdown(2) on Linux and macOS).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

#: What was idle for longer is not used again, s: proxies and ComfyUI close such connections, from
#: 60 s on, and a request that meets the close on its way is lost without an answer.
_IDLE_S: Final = 20.0

_lock = Lock()


class Cut(OSError):
    """Nobody waits for the answer any more."""


class OpenConnections:
    """What one call has open, and what the calls within it have."""

    def __init__(self) -> None:
        self.outer = _current.get()
        self.connections: WeakSet[Any] = WeakSet()
        self._cuts = 0
        self._is_over = False

    @property
    def cuts(self) -> int:
        """How often its requests were ended, by whomever."""
        return self._cuts + (self.outer.cuts if self.outer else 0)

    @property
    def is_over(self) -> bool:
        """Whether it may ask for nothing more."""
        return self._is_over or (self.outer is not None and self.outer.is_over)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what this thread opens in the block, and threads that it starts with its context."""
        before = _current.set(self)
        try:
            yield
        finally:
            _current.reset(before)

    def cut(self) -> None:
        """End the requests that are under way; what begins later is not touched."""
        with _lock:
            self._cuts += 1
            for connection in self.connections:
                if self._is_within(connection.used_by):
                    connection.cut()

    def end(self) -> None:
        """End the requests that are under way, and let no other begin."""
        self._is_over = True
        self.cut()

    def note(self, connection: Any) -> None:
        """Hear that a request begins on *connection*.

        Raises:
            Cut: it may not.
        """
        if self.is_over:
            raise Cut("nobody waits for the answer any more")
        holder: OpenConnections | None = self
        while holder is not None:
            holder.connections.add(connection)
            holder = holder.outer

    def _is_within(self, holder: OpenConnections | None) -> bool:
        """Tell whether *holder* is this one, or of a call within; others may use the connection now."""
        while holder is not None and holder is not self:
            holder = holder.outer
        return holder is self


_current: ContextVar[OpenConnections | None] = ContextVar("open_connections", default=None)


def cuts() -> int:
    """Return how often requests of the present call were ended: an answer may be half of one."""
    holder = _current.get()
    return holder.cuts if holder else 0


class Cuttable:
    """A urllib3 connection that can be ended from outside; goes before its class."""

    used_by: OpenConnections | None = None
    _line: socket.socket | None = None
    _used_at: float = 0.0

    def connect(self) -> None:
        """Connect, and remember the socket: the reader of a last answer takes it along."""
        super().connect()  # type: ignore[misc] # it goes before a class that has it
        self._line = self.sock  # type: ignore[attr-defined]

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request, in the name of the present call."""
        with _lock:
            self.used_by = _current.get()
            if self.used_by is not None:
                self.used_by.note(self)
        self._used_at = time.monotonic()
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        """Wait for the answer's head."""
        response = super().getresponse()  # type: ignore[misc]
        self._used_at = time.monotonic()
        return response

    @property
    def is_connected(self) -> bool:
        """Whether it may be used again."""
        is_fresh = time.monotonic() - self._used_at < _IDLE_S
        return is_fresh and bool(super().is_connected)  # type: ignore[misc]

    def cut(self) -> None:
        """Wake whoever reads from it or writes to it."""
        if self._line is not None:
            with suppress(OSError):
                # Not SSLSocket's own, which changes what its reader uses at this moment.
                socket.socket.shutdown(self._line, socket.SHUT_RDWR)


class _HTTP(Cuttable, HTTPConnection):
    """Of `http://`."""


class _HTTPS(Cuttable, HTTPSConnection):
    """Of `https://`."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class CuttableAdapter(HTTPAdapter):
    """Has a session of requests use connections that can be ended."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make its pools, as requests asks for."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def cut_those_of_boto3() -> None:
    """Have all of this process' boto3 clients use connections that can be ended."""
    from botocore import awsrequest  # noqa: PLC0415 - it takes 0.3 s to import

    for pool in (awsrequest.AWSHTTPConnectionPool, awsrequest.AWSHTTPSConnectionPool):
        if not issubclass(pool.ConnectionCls, Cuttable):
            pool.ConnectionCls = type("CuttableAWS", (Cuttable, pool.ConnectionCls), {})
