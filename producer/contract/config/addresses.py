"""Addresses (URLs) of servers: parsed, refused with one sentence, and shown without secrets.

No message made here holds any part of a password or token, however malformed the address is.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST: Final = r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+(?:%[^\]]+)?\])"
_PLACE: Final = re.compile(rf"{_HOST}(?::\d{{1,5}})?")
_STRAY: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[\[\]]")

#: All before the host. A raw "/", "?" or "#" in a password makes urlsplit end the host inside the
#: password, so the last "@" is taken as its end.
_LOGIN: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_LONGEST_SHOWN: Final = 80

#: Advice for an address in which a character of the password ends the host.
ENCODE: Final = (
    "percent-encode user and password: write # as %23, / as %2F, ? as %3F, [ as %5B, ] as %5D,"
    " @ as %40 and % as %25"
)


def split_address(url: str, *, usual: str = "SCHEME") -> SplitResult:
    """Split `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?QUERY]` into its parts.

    Args:
        usual: the scheme to name in messages.

    Raises:
        ValueError: it has another form; the message says what to write instead.
    """
    scheme, found, rest = url.partition("://")
    if not found or not _SCHEME.fullmatch(scheme):
        raise ValueError(f"expected {usual}://HOST:PORT{_hint(url, usual)}")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, host = place.rpartition("@")
    if _STRAY.search(login) or ("@" in rest[len(place) :] and (at or not _is_place(place))):
        raise ValueError(ENCODE)
    if host and not _is_place(host):
        raise ValueError(
            f"after {scheme}:// expected [USER:PASSWORD@]HOST[:PORT]; a port is a number up to"
            " 65535, and an IPv6 address stands in brackets"
        )
    return urlsplit(url)


def without_password(url: str) -> str:
    """Return *url* for messages: `***` in place of user and password and of its query, 80 characters."""
    shown = _LOGIN.sub(r"\1***@", url).partition("#")[0]
    place, asked, _ = shown.partition("?")
    shown = f"{place}?***" if asked else place
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def bare(url: str) -> str:
    """Return *url* without user, password and query."""
    return re.split(r"[?#]", _LOGIN.sub(r"\1", url), maxsplit=1)[0]


def _is_place(text: str) -> bool:
    port = text.rpartition(":")[2]
    return bool(_PLACE.fullmatch(text)) and not (port.isdecimal() and int(port) > 65_535)  # noqa: PLR2004


def _hint(url: str, usual: str) -> str:
    """Return the advice for a *url* that only lacks its scheme; else ""."""
    rest = url.lstrip("/")
    place, slash, path = rest.partition("/")
    if not _is_place(place) or any(sign in path for sign in "@?#"):
        return ""
    return f": write {usual}://{place}{slash}{path}".rstrip("/")
