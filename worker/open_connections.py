"""Registers the HTTP connections that a call has open, so that another thread can shut them down.

A thread that reads a silent socket, or one that gives a byte a second, does not wake; closing the
socket does not wake it either. shutdown(2) wakes reader and writer (Linux and macOS).
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from threading import Event, Lock, Timer
from typing import Any, Final
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

#: A connection that was idle for longer is not reused, s: proxies close such connections, the first of them
#: after 5 s, and a request that meets the close on its way is lost without an answer.
_IDLE_S: Final = 4.0
#: How much longer than its peer may be silent the head of an answer may take, s: a peer that goes on
#: with `100 Continue`, or with a byte now and then, is never silent.
_HEAD_S: Final = 10.0

_lock = Lock()


class Cut(OSError):
    """The request was ended from another thread: its answer is not wanted any more."""


class OpenConnections:
    """The connections of one call and of the calls nested in it."""

    def __init__(self) -> None:
        self.outer = _current.get()
        self.connections: WeakSet[Any] = WeakSet()
        self._cuts = 0
        self._is_over = False

    @property
    def cuts(self) -> int:
        """How often requests of this call, or of one around it, were ended."""
        return self._cuts + (self.outer.cuts if self.outer else 0)

    @property
    def is_over(self) -> bool:
        """Whether the call may begin no further request."""
        return self._is_over or (self.outer is not None and self.outer.is_over)

    @contextmanager
    def registering(self) -> Iterator[None]:
        """Register what this thread, and threads with a copy of its context, open in the block."""
        before = _current.set(self)
        try:
            yield
        finally:
            _current.reset(before)

    def cut(self) -> None:
        """End the requests in progress; later ones are not affected."""
        with _lock:
            self._cuts += 1
            for connection in self.connections:
                if self._is_within(connection.used_by):
                    connection.cut()

    def end(self) -> None:
        """End the requests in progress and refuse further ones."""
        self._is_over = True
        self.cut()

    def register(self, connection: Any) -> None:
        """Register *connection*, on which a request begins.

        Raises:
            Cut: the call has been ended.
        """
        if self.is_over:
            raise Cut("nobody waits for the answer any more")
        holder: OpenConnections | None = self
        while holder is not None:
            holder.connections.add(connection)
            holder = holder.outer

    def _is_within(self, holder: OpenConnections | None) -> bool:
        """Return whether *holder* is this call or nested in it: pooled connections change hands."""
        while holder is not None and holder is not self:
            holder = holder.outer
        return holder is self


_current: ContextVar[OpenConnections | None] = ContextVar("open_connections", default=None)


def cuts() -> int:
    """Return how often requests of the present call were ended: then an answer may be cut off."""
    holder = _current.get()
    return holder.cuts if holder else 0


def shut_down(line: socket.socket) -> None:
    """Shut a socket down, which wakes its reader and its writer; closing it would not."""
    with suppress(OSError):
        # Not SSLSocket's own, which changes what its reader uses at this moment.
        socket.socket.shutdown(line, socket.SHUT_RDWR)


class NotInTime(TimeoutError):
    """What was under way was ended at its time limit; its text says how long that was."""


@contextmanager
def time_limit(seconds: float | None, end: Callable[[], None]) -> Iterator[None]:
    """Call *end* from another thread once the block has taken *seconds*; None is no limit.

    Raises:
        NotInTime: it has, in place of what the block then raised.
    """
    if seconds is None:
        yield
        return
    is_over = Event()

    def on_time() -> None:
        is_over.set()
        end()

    timer = Timer(seconds, on_time)
    timer.daemon = True
    timer.start()
    error: Exception | None = None
    try:
        yield
    except Exception as exc:
        if not is_over.is_set():
            raise
        error = exc
    finally:
        timer.cancel()
    if (
        is_over.is_set()
    ):  # also without an error: the end of a connection may pass for that of a head
        raise NotInTime(f"not done within {seconds:g} s") from error


class Cuttable:
    """Mix-in for urllib3 connections that another thread can end; goes first among the bases."""

    idle_s = math.inf  #: boto3 sends again what a closed connection has lost.
    head_s: float | None = None  #: boto3's calls are bounded by whoever waits for them.
    used_by: OpenConnections | None = None
    _line: socket.socket | None = None
    _used_at: float = 0.0

    def connect(self) -> None:
        """Connect, and keep the socket: urllib3 hands it to the reader of a last answer."""
        super().connect()  # type: ignore[misc] # it goes before a class that has it
        self._line = self.sock  # type: ignore[attr-defined]

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request, registered with the present call."""
        with _lock:
            self.used_by = _current.get()
            if self.used_by is not None:
                self.used_by.register(self)
        self._used_at = time.monotonic()
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        """Wait for status and headers.

        Raises:
            NotInTime: they began to come and did not end; the connection is ended.
        """
        limit_s = None if self.head_s is None else self.head_s + (self.timeout or 0)  # type: ignore[attr-defined]
        with ExitStack() as if_late:
            with time_limit(limit_s, self.cut):
                response = super().getresponse()  # type: ignore[misc]
                if_late.callback(response.close)
            if_late.pop_all()
        self._used_at = time.monotonic()
        return response

    @property
    def is_connected(self) -> bool:
        """Whether it may be reused: connected, and not idle for too long."""
        is_fresh = time.monotonic() - self._used_at < self.idle_s
        return is_fresh and bool(super().is_connected)  # type: ignore[misc]

    def cut(self) -> None:
        """Shut the socket down, which wakes its reader and its writer."""
        if self._line is not None:
            shut_down(self._line)


class _HTTP(Cuttable, HTTPConnection):
    """For `http://`."""

    idle_s, head_s = _IDLE_S, _HEAD_S


class _HTTPS(Cuttable, HTTPSConnection):
    """For `https://`."""

    idle_s, head_s = _IDLE_S, _HEAD_S


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class CuttableAdapter(HTTPAdapter):
    """Adapter for a requests session: its connections can be ended from another thread."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the connection pools; called by requests."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def make_boto3_cuttable() -> None:
    """Make the connections of all boto3 clients of this process endable from another thread."""
    from botocore import awsrequest  # noqa: PLC0415 - it takes 0.3 s to import

    for pool in (awsrequest.AWSHTTPConnectionPool, awsrequest.AWSHTTPSConnectionPool):
        if not issubclass(pool.ConnectionCls, Cuttable):
            pool.ConnectionCls = type("CuttableAWS", (Cuttable, pool.ConnectionCls), {})
