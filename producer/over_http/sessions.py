"""Sessions to an API: they keep no cookies, and wait for the head of an answer no longer than for its first byte."""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

#: Requests at once that keep their connection.
_POOL: Final = 32


def new_session() -> requests.Session:
    """Return a session for one API.

    Any process behind a balancer gives the same answers, so a cookie is for nothing; kept, they could become many.
    """
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_connections=4, pool_maxsize=_POOL))
    return session


class _HeadReader(io.RawIOBase):
    """Reads from a socket, until the head is there within its time as a whole.

    Python's client waits anew for each piece of it, and passes over any number of interim answers.
    """

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._each_s = sock.gettimeout()
        self._ends = None if self._each_s is None else time.monotonic() + self._each_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._ends is not None:
            left_s = self._ends - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left_s)
        found: int | None = self._raw.readinto(buffer)
        return found

    def head_is_there(self) -> None:
        self._ends = None
        self._sock.settimeout(self._each_s)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        whole: Any = self.fp
        self._reader = _HeadReader(whole.detach(), sock)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        self._reader.head_is_there()


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return self._bound(super().proxy_manager_for(proxy, **options))

    def _bound(self, manager: Any) -> Any:
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager
