"""Allowed origins: the web pages that may use the HTTP API from a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}|\*))?"
)
_HIGHEST_PORT: Final = 65_535
_USUAL_PORTS: Final = {("http", "80"), ("https", "443")}
#: Of these alone every port may be allowed: whoever listens there has the machine already.
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True)
class AllowedOrigins:
    """The origins of the setting `api_allowed_origins`, each as a browser writes it.

    Args:
        exact: origins; `*` alone stands for every one.
        any_port: origins without a port, which are allowed at each.
    """

    exact: tuple[str, ...] = ()
    any_port: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.exact or self.any_port)

    @property
    def pattern(self) -> str | None:
        """A regular expression that fits, as a whole, those that are allowed at each port; None without any."""
        if not self.any_port:
            return None
        return f"({'|'.join(map(re.escape, self.any_port))})(:[0-9]{{1,5}})?"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `*`, or `https://HOST[:PORT]` separated by commas; of this machine `http://localhost:*`, too.

        Raises:
            ValueError: one is none of these; names it, and says what would do.
        """
        words = [word for word in (part.strip() for part in text.split(",")) if word]
        if "*" in words:
            if len(words) > 1:
                raise ValueError("* allows every origin, so it stands alone")
            return cls(exact=("*",))
        exact: list[str] = []
        any_port: list[str] = []
        for word in words:
            origin, is_any_port = _read(word)
            (any_port if is_any_port else exact).append(origin)
        return cls(tuple(exact), tuple(any_port))


def _read(word: str) -> tuple[str, bool]:
    """Return an origin as a browser writes it, and whether its port counts for nothing."""
    if word.lower() == "null":
        raise _wrong(
            word, "stands for every page without an origin; serve the page from an address"
        )
    found = _ORIGIN.fullmatch(word.lower().removesuffix("/"))
    if found is None:
        raise _wrong(word, _reason(word))
    scheme, host, port = found["scheme"], found["host"], found["port"]
    if port == "*":
        if scheme != "http" or host not in _LOOPBACK:
            raise _wrong(
                word, "names every port of a host that is not this machine; name each port"
            )
        return f"{scheme}://{host}", True
    if port is not None and not 0 < int(port) <= _HIGHEST_PORT:
        raise _wrong(word, f"has a port that is none; the highest is {_HIGHEST_PORT}")
    if port is None or (scheme, port) in _USUAL_PORTS:
        return f"{scheme}://{host}", False
    return f"{scheme}://{host}:{int(port)}", False


def _reason(word: str) -> str:
    place = word.partition("://")[2]
    if not place:
        return "has no scheme; expected https://HOST"
    if "@" in place:
        return "holds a user; an origin is https://HOST[:PORT] alone"
    if set("/?#") & set(place.rstrip("/")):
        return "has a path; an origin is https://HOST[:PORT] alone"
    if "*" in place:
        return "has a placeholder; name each host"
    if not place.isascii():
        return "has letters beyond ASCII; browsers write such a host as xn--..."
    return "is no origin; expected https://HOST[:PORT]"


def _wrong(word: str, why: str) -> ValueError:
    # A password may stand in what was meant as an address.
    shown = "an origin" if "@" in word else f"{word[:80]!a}"
    return ValueError(f"{shown} {why}")
