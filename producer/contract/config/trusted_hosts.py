"""Trusted hosts: those that the operator lets strangers name although they are private, or have a port of their own."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

from producer.contract.config.public_addresses import is_public, may_be_private
from producer.contract.config.web_address import WebAddress
from producer.contract.errors import AddressRefused

#: What web servers listen on; other ports are those of other services.
_USUAL_PORTS: Final = frozenset({80, 443, 8080, 8443})


@dataclass(frozen=True)
class TrustedHosts:
    """The hosts of the setting `trusted_hosts`; without any, only public ones at the usual ports are asked.

    Args:
        names: hosts with their port; 0 stands for each.
        networks: IP networks with their port.
        usual_ports: at which any public host is asked.
    """

    names: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[tuple[IPv4Network | IPv6Network, int], ...] = ()
    usual_ports: frozenset[int] = _USUAL_PORTS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST`, `HOST:PORT`, `ADDRESS`, `[ADDRESS]:PORT` or `NETWORK/BITS`, separated by commas.

        Raises:
            ValueError: one is none of these; names it.
        """
        names: set[tuple[str, int]] = set()
        networks: list[tuple[IPv4Network | IPv6Network, int]] = []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            if network := _network(part):
                networks.append((network, 0))
                continue
            try:
                target = WebAddress.parse(f"http://{part}")
            except AddressRefused:
                raise ValueError(
                    f"{part[:80]!a} is no HOST, HOST:PORT, ADDRESS or NETWORK/BITS"
                ) from None
            if target.path != "/":
                raise ValueError(f"{part[:80]!a} is no HOST, HOST:PORT, ADDRESS or NETWORK/BITS")
            port = target.port if part.endswith(f":{target.port}") else 0
            if target.is_ip:
                networks.append((ip_network(target.host), port))
            else:
                names.add((target.host, port))
        return cls(frozenset(names), tuple(networks))

    def check_place(self, target: WebAddress) -> None:
        """Check what can be judged of a target before its name is looked up.

        Raises:
            AddressRefused: its port is unusual, or its host is one of a local network.
        """
        if self.trusts(target.host, target.port):
            return
        if target.port not in self.usual_ports:
            raise AddressRefused(
                f"port {target.port} is not asked; expected 443, 80, 8443 or 8080",
                advice=_advice(target),
            )
        if target.is_ip:
            self.check_addresses(target, [target.host])
        elif "." not in target.host or target.host.rpartition(".")[2] in _LOCAL:
            raise _not_public(target)

    def check_addresses(self, target: WebAddress, addresses: list[str]) -> None:
        """Check all that a target's name stands for: one that is not public spoils the others.

        Raises:
            AddressRefused: some are not public. It does not say which, as they tell of the network.
        """
        by_name = self.trusts(target.host, target.port) and not target.is_ip
        for address in addresses:
            is_trusted = by_name and may_be_private(address)
            if not (is_public(address) or is_trusted or self.trusts(address, target.port)):
                raise _not_public(target)

    def trusts(self, host: str, port: int) -> bool:
        """Tell whether the operator names a host, by its name or address, at a port."""
        if not self.names.isdisjoint({(host, 0), (host, port)}):
            return True
        found = _address(host)
        return found is not None and any(
            found in network for network, at in self.networks if at in {0, port}
        )


#: Names that no public host has (RFC 6761, 6762, 8375, and what clouds and offices use).
_LOCAL: Final = frozenset(
    {"localhost", "local", "internal", "intranet", "lan", "home", "corp", "localdomain", "arpa"}
)


def _not_public(target: WebAddress) -> AddressRefused:
    return AddressRefused(f"{target.place} is no public host", advice=_advice(target))


def _advice(target: WebAddress) -> str:
    return f"the operator can allow it: COMFYFLEET_TRUSTED_HOSTS={target.place}"


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text) if "/" in text else None
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
