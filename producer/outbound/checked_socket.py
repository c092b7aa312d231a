"""Checked sockets: connected to an address that was checked, and shut down at a deadline whatever they do then."""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.config.web_address import WebAddress
from producer.contract.errors import HostFault

#: Addresses of one host that are tried.
_MOST_ADDRESSES: Final = 4
#: How long one of them may take to accept a connection, s, as another might be quicker.
_CONNECT_S: Final = 5.0

#: Returns the addresses of a host, by host and port.
Resolve = Callable[[str, int], Sequence[str]]


def look_up(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, as this machine's resolver has them; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class Deadline:
    """A point in time by which a whole exchange must be over; *seconds* from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left; raises HostFault when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.passed()
        return left

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._at

    def passed(self) -> HostFault:
        """Return the error to raise when it has passed."""
        return HostFault(f"not done within {self.seconds:g} s")


@contextmanager
def checked_socket(
    target: WebAddress, *, trusted: TrustedHosts, resolve: Resolve, deadline: Deadline
) -> Iterator[socket.socket]:
    """Connect to a target, over TLS if it asks for it, and close at the end.

    The name is looked up once, all its addresses are checked, and one of these is connected to: what the
    name stands for a moment later makes no difference. TLS compares the certificate with the name.

    Raises:
        AddressRefused: it is not one that strangers may name; nothing was sent.
        HostFault: it cannot be reached, or *deadline* has passed.
    """
    trusted.check_place(target)
    addresses = [target.host] if target.is_ip else _looked_up(target, resolve, deadline)
    trusted.check_addresses(target, addresses)
    plain = _connected(addresses[:_MOST_ADDRESSES], target, deadline)
    try:
        with _shut_down_at(plain, deadline):
            if not target.is_secure:
                yield plain
                return
            with _tls().wrap_socket(plain, server_hostname=target.host) as wrapped:
                yield wrapped
    finally:
        plain.close()


def _looked_up(target: WebAddress, resolve: Resolve, deadline: Deadline) -> list[str]:
    # A resolver cannot be interrupted; its thread ends by itself, within the resolver's own bounds.
    answer: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(resolve(target.host, target.port))
        except Exception as exc:  # noqa: BLE001 - told to who waits
            answer.put(exc)

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.left_s)
    except queue.Empty:
        raise HostFault(f"the name {target.host} was not found in time") from None
    if isinstance(found, Exception) or not found:
        raise HostFault(f"the name {target.host} is not found") from None
    return list(found)


def _connected(addresses: Sequence[str], target: WebAddress, deadline: Deadline) -> socket.socket:
    for address in addresses:
        with suppress(OSError):
            return socket.create_connection(
                (address, target.port), timeout=min(_CONNECT_S, deadline.left_s)
            )
    raise HostFault(f"{target.place} accepts no connection")


@contextmanager
def _shut_down_at(connected: socket.socket, deadline: Deadline) -> Iterator[None]:
    """Shut a connection down at the deadline: a host that gives a byte a second meets every other bound."""
    connected.settimeout(deadline.left_s)
    # Its own descriptor, as TLS takes the other one over.
    same = socket.socket(fileno=os.dup(connected.fileno()))

    def shut_down() -> None:
        with suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(deadline.left_s, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        same.close()


def _tls() -> ssl.SSLContext:
    """The certificates are those by which nodes are judged: `$SSL_CERT_FILE`, else those of requests."""
    return _context(os.environ.get("SSL_CERT_FILE") or DEFAULT_CA_BUNDLE_PATH)


@cache
def _context(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
