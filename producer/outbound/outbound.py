"""Outbound requests to addresses that strangers name: files to fetch, and messages to deliver."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import urljoin

from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.config.web_address import WebAddress
from producer.contract.errors import AddressRefused, HostFault
from producer.contract.text_cleaning import escaped
from producer.outbound.checked_socket import Deadline, Resolve, look_up
from producer.outbound.exchange import Answer, exchange

#: Hops of one fetch.
_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
#: What a host sends in place of a file: pages of error, of login, of an API.
_PAGES: Final = ("text/", "application/json", "application/problem+json", "application/xhtml+xml")
#: Bytes of an answer to a message that are kept.
_KEPT_BYTES: Final = 512


@dataclass(frozen=True)
class Reply:
    """What a host said to a message.

    Args:
        status: of HTTP.
        beginning: of its body, control characters escaped.
        retry_after: the header of this name, as it came.
    """

    status: int
    beginning: str = ""
    retry_after: str = ""


class Outbound:
    """Makes requests to public hosts, and to those that the operator trusts. Thread-safe.

    Every address is read strictly, looked up once, checked, and connected to as it was checked. Proxies,
    passwords and redirect rules of the environment count for nothing.

    Args:
        trusted: hosts that may be private.
        resolve: returns a host's addresses; those of this machine's resolver unless a test has its own.
    """

    def __init__(self, trusted: TrustedHosts, *, resolve: Resolve = look_up) -> None:
        self._trusted = trusted
        self._resolve = resolve

    def check(self, url: str) -> WebAddress:
        """Return what an address leads to, as far as can be told without asking anybody.

        Raises:
            AddressRefused: strangers may not name it.
        """
        target = WebAddress.parse(url)
        self._trusted.check_place(target)
        return target

    def is_trusted(self, target: WebAddress) -> bool:
        """Tell whether the operator named the target's host."""
        return self._trusted.trusts(target.host, target.port)

    def fetch(self, url: str, into: BinaryIO, *, most_bytes: int, within_s: float) -> WebAddress:
        """Copy the file at an address, and return where it was found after redirects.

        Each redirect is checked as the first address was. All of it together takes *within_s* at most.

        Raises:
            AddressRefused: the address, or one that it was sent on to, is not public; nobody there was asked.
            HostFault: there is no such file, or not within the bounds.
        """
        deadline = Deadline(within_s)
        target = WebAddress.parse(url)
        for _ in range(_MOST_REDIRECTS + 1):
            with self._exchange("GET", target, deadline) as answer:
                if answer.status not in _REDIRECTS:
                    _copy(answer, target, into, most_bytes)
                    return target
                target = _next(target, answer)
        raise HostFault(f"{target.place} is the last of more than {_MOST_REDIRECTS} redirects")

    def post(self, url: str, body: bytes, *, headers: Mapping[str, str], within_s: float) -> Reply:
        """Deliver a message and return the reply, of whatever status; redirects are replies, too.

        Raises:
            AddressRefused: the address is not public; nothing was sent.
            HostFault: there is no reply within *within_s*; the message may have come in all the same.
        """
        target = WebAddress.parse(url)
        deadline = Deadline(within_s)
        with self._exchange("POST", target, deadline, headers=headers, body=body) as answer:
            begin = answer.beginning(_KEPT_BYTES).decode("utf-8", "replace")
            return Reply(answer.status, escaped(begin), answer.header("Retry-After"))

    def _exchange(
        self,
        method: str,
        target: WebAddress,
        deadline: Deadline,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> AbstractContextManager[Answer]:
        return exchange(
            method,
            target,
            trusted=self._trusted,
            resolve=self._resolve,
            deadline=deadline,
            headers=headers,
            body=body,
        )


def _copy(answer: Answer, target: WebAddress, into: BinaryIO, most_bytes: int) -> None:
    if answer.status != _OK:
        raise HostFault(f"{target.shown} answers with status {answer.status}")
    if answer.media_type.startswith(_PAGES):
        raise HostFault(f"{target.shown} is no file, but {answer.media_type[:80]}")
    try:
        into.writelines(answer.body(most=most_bytes))
    except HostFault as exc:
        raise HostFault(f"{target.shown} {exc.message}") from None


def _next(target: WebAddress, answer: Answer) -> WebAddress:
    to = WebAddress.parse(
        urljoin(f"{target.scheme}://{target.place}{target.path}", answer.header("Location"))
    )
    if target.is_secure and not to.is_secure:
        raise AddressRefused(f"{target.place} sends on from https to http")
    return to
