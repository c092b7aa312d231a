"""Which IP addresses are public: all others lead into a network where strangers have no business.

After IANA's registries of special-purpose addresses (IPv4 and IPv6). Written out, since Python's
`is_global` differs from release to release, and passes IPv6 that carries a private IPv4.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this host": Linux connects to itself
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' own; Alibaba's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's metadata, at an address that looks public
            "169.254.0.0/16",  # link-local; metadata of nearly every cloud
            "172.16.0.0/12",
            "192.0.0.0/24",  # Oracle's metadata
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
#: What is assigned to hosts of the internet at all.
_UNICAST_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo carries an IPv4; ORCHID, benchmarks
            "2001:db8::/32",
            "2002::/16",  # 6to4 carries an IPv4
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
#: Networks with IPv6 alone reach IPv4 so (RFC 6052); an IPv4-mapped one is IPv4 in other letters.
_CARRIES_4: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0/96"))
#: Bytes of an interface id that tunnels to the IPv4 behind it (ISATAP, RFC 5214).
_ISATAP: Final = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
#: Never reached by a host's name, even one that the operator trusts: who says what that name means might be
#: a stranger. Metadata services give away the machine's own rights.
_NEVER_BY_NAME: Final = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("100.100.100.200/32"),
    IPv4Network("168.63.129.16/32"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("224.0.0.0/3"),
    IPv6Network("::/128"),
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::/32"),
    IPv6Network("ff00::/8"),
)

Address = IPv4Address | IPv6Address


def is_public(address: str) -> bool:
    """Tell whether *address* is one of the internet's; any other text is none."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return _is_public(found)


def may_be_private(address: str) -> bool:
    """Tell whether a name that the operator trusts may stand for *address*."""
    try:
        found = _plain(ip_address(address))
    except ValueError:
        return False
    return not any(found in network for network in _NEVER_BY_NAME)


def _is_public(address: Address) -> bool:
    plain = _plain(address)
    if isinstance(plain, IPv4Address):
        return not any(plain in network for network in _NOT_PUBLIC_4)
    return (
        plain in _UNICAST_6
        and plain.scope_id is None
        and plain.packed[8:12] not in _ISATAP
        and not any(plain in network for network in _NOT_PUBLIC_6)
    )


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one only carries."""
    if isinstance(address, IPv6Address) and any(address in network for network in _CARRIES_4):
        return IPv4Address(address.packed[-4:])
    return address
