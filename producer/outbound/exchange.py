"""Exchanges: one HTTP request to a checked address, and its answer within bounds of time and size.

Python's own client speaks over a socket that is handed to it, so there is nothing to configure away: no proxy
and no password of the environment, no redirect, no retry, no cookie, no unpacking.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Final

from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.config.web_address import WebAddress
from producer.contract.errors import HostFault
from producer.contract.text_cleaning import abridged, escaped
from producer.outbound.checked_socket import Deadline, Resolve, checked_socket

_AGENT: Final = "comfyfleet"
_CHUNK: Final = 64 << 10
_LONGEST_REASON: Final = 120


class Answer:
    """The answer to a request, while its connection is open."""

    def __init__(self, response: http.client.HTTPResponse, deadline: Deadline) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status

    def header(self, name: str) -> str:
        """Return a header, cleaned; empty if the answer has none of this name."""
        return escaped(abridged(self._response.getheader(name) or "", most=2_048))

    @property
    def media_type(self) -> str:
        """The type that the host says it sends, without its parameters."""
        return self.header("Content-Type").partition(";")[0].strip().lower()

    def beginning(self, most: int) -> bytes:
        """Return the first bytes of the body; the rest is not read."""
        return self._response.read(most)

    def body(self, *, most: int) -> Iterator[bytes]:
        """Give the whole body in pieces.

        Raises:
            HostFault: it has more than *most* bytes, or fewer than it says.
        """
        declared = self._declared()
        if declared is not None and declared > most:
            raise HostFault(f"has {declared:,} bytes; the limit is {most:,}")
        if self.header("Content-Encoding").lower() not in {"", "identity"}:
            raise HostFault("comes packed, which was not asked for")
        size = 0
        while piece := self._response.read(_CHUNK):
            size += len(piece)
            if size > most:
                raise HostFault(f"has more than {most:,} bytes, which is the limit")
            yield piece
        if (
            self._deadline.is_over
        ):  # the end that was read is that of the connection, which was shut down
            raise self._deadline.passed()
        if declared is not None and size < declared:
            raise HostFault(f"broke off after {size:,} of {declared:,} bytes")

    def _declared(self) -> int | None:
        text = self._response.getheader("Content-Length") or ""
        is_chunked = self._response.chunked  # then the length counts for nothing
        return int(text) if text.isascii() and text.isdigit() and not is_chunked else None


@contextmanager
def exchange(
    method: str,
    target: WebAddress,
    *,
    trusted: TrustedHosts,
    resolve: Resolve,
    deadline: Deadline,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Iterator[Answer]:
    """Send one request and give its answer, of whatever status; the connection is closed then.

    Raises:
        AddressRefused: the target is not one that strangers may name; nothing was sent.
        HostFault: it cannot be reached, does not speak HTTP, or *deadline* has passed.
    """
    try:
        with (
            checked_socket(target, trusted=trusted, resolve=resolve, deadline=deadline) as sock,
            closing(_asked(sock, method, target, headers or {}, body)) as response,
        ):
            yield Answer(response, deadline)
    except (OSError, ValueError, http.client.HTTPException, EOFError) as exc:
        if deadline.is_over:
            raise deadline.passed() from exc
        raise HostFault(f"{target.place} {_why(exc)}") from exc


def _asked(
    sock: socket.socket, method: str, target: WebAddress, headers: Mapping[str, str], body: bytes
) -> http.client.HTTPResponse:
    client = http.client.HTTPConnection(target.host, target.port)
    client.auto_open = 0  # it would connect by name, unchecked
    client.sock = sock
    client.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
    given = {"Host": target.place, "User-Agent": _AGENT, "Accept-Encoding": "identity", **headers}
    given |= {"Connection": "close"}
    if body:
        given["Content-Length"] = str(len(body))
    for name, value in given.items():
        client.putheader(name, value)
    client.endheaders(body or None)
    return client.getresponse()


def _why(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"has a certificate that does not count: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return "breaks off the TLS handshake"
    if isinstance(exc, http.client.HTTPException | ValueError):
        return f"does not answer as HTTP does ({type(exc).__name__})"
    reason = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else ""
    return f"broke off: {escaped(reason or type(exc).__name__)[:_LONGEST_REASON]}"
