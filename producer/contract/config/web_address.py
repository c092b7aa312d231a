"""Web addresses as strangers write them, read strictly: nobody else can read another host in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self
from urllib.parse import quote

from producer.contract.config.addresses import without_password
from producer.contract.errors import AddressRefused
from producer.contract.graph.json_values import short

_LONGEST: Final = 2_048
_WHOLE: Final = re.compile(r"(?P<scheme>https?)://(?P<place>[^/?#]*)(?P<path>[^#]*)", re.IGNORECASE)
_PLACE: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST: Final = 253
#: A last label of this form makes some readers take the whole for a number: 2130706433, 0x7f.1, 127.1
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_USUAL_PORT: Final = {"http": 80, "https": 443}
_HIGHEST_PORT: Final = 65_535
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True)
class WebAddress:
    """Where a request goes.

    Args:
        host: a name in lower case, or an IP address without brackets.
        path: with its query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: object) -> Self:
        """Read `http[s]://HOST[:PORT][/PATH][?QUERY]`; a fragment is dropped.

        Raises:
            AddressRefused: it is anything else; says what.
        """
        if not isinstance(url, str):
            raise AddressRefused(f"a web address must be text, not {type(url).__name__}")
        if len(url) > _LONGEST:
            raise _refused(url, f"has {len(url):,} characters; the limit is {_LONGEST:,}")
        if _UNSAFE.search(url):
            raise _refused(url, "holds a space, a backslash or a control character")
        whole = _WHOLE.fullmatch(url.partition("#")[0])
        if whole is None:
            raise _refused(url, "is no address of the form https://HOST/PATH")
        if "@" in whole["place"]:
            raise AddressRefused("a web address must not hold a user or password")
        place = _PLACE.fullmatch(whole["place"])
        if place is None:
            raise _refused(url, "names no host, or a port that is no number")
        scheme = whole["scheme"].lower()
        port = int(place["port"] or _USUAL_PORT[scheme])
        if not 0 < port <= _HIGHEST_PORT:
            raise _refused(url, f"names port {port}; expected 1 to {_HIGHEST_PORT:,}")
        path = quote(whole["path"], safe="%/?&=+,;:@!$'()*~|[]{}^`\"<>", errors="replace")
        path = path if path.startswith("/") else f"/{path}"
        return cls(scheme, _host(url, place["host"]), port, path)

    @property
    def is_secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.scheme == "https"

    @property
    def is_ip(self) -> bool:
        """Whether the host is an IP address."""
        return ":" in self.host or bool(_NUMBER.fullmatch(self.host.rpartition(".")[2]))

    @property
    def place(self) -> str:
        """The host, and the port unless it is the scheme's own: what the header `Host` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL_PORT[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """The address for messages: without its query, which may hold a token."""
        return short(f"{self.scheme}://{self.place}{self.path.partition('?')[0]}")


def _host(url: str, host: str) -> str:
    if host.startswith("["):
        try:
            found = IPv6Address(host[1:-1])
        except ValueError:
            raise _refused(url, "names no IPv6 address in its brackets") from None
        if found.scope_id is not None:
            raise _refused(url, "names an address of one network card only")
        return str(found)
    if not host.isascii():
        raise _refused(
            url, "names a host with other than ASCII letters", advice="write it as xn--..."
        )
    labels = host.split(".")
    if len(host) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise _refused(url, "names no valid host")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise _refused(
                url, "names an IPv4 address in an odd form", advice="write it as 192.0.2.1"
            ) from None
    return host.lower()


def _refused(url: str, why: str, *, advice: str | None = None) -> AddressRefused:
    return AddressRefused(f"{without_password(url)!a} {why}", advice=advice)
