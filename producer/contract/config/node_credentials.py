"""Node credentials: headers and query parameters that a proxy in front of a ComfyUI requires."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidSettings

#: RFC 9110, 5.6.2.
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: http.client sends Latin-1 and websocket-client UTF-8: only ASCII is the same in both.
_VALUE: Final = re.compile(r"[\x20-\x7e]+")
#: Headers that every request or handshake sets itself.
_OURS: Final = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade",
     "origin", "accept-encoding", "expect"}
)  # fmt: skip
_SOURCES: Final = "COMFYFLEET_NODE_HEADERS"


@dataclass(frozen=True)
class NodeCredentials:
    """Credentials sent with every request to a node, and with the handshake of its websocket.

    Args:
        headers: `{"Authorization": "Bearer ..."}`, ASCII only.
        query: parameters of the URL, `{"token": "..."}`.
        where: the setting or file they come from, for messages.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    where: str = ""

    @classmethod
    def read(cls, text: str, *, where: str) -> Self:
        """Parse lines `Name: value` and `?parameter=value`, or a JSON object of the same names.

        Empty lines and those that begin with "#" are ignored.

        Args:
            where: a setting's or file's name, for messages.

        Raises:
            InvalidSettings: a line is neither, or cannot be sent; its value is not shown.
        """
        headers: dict[str, str] = {}
        query: dict[str, str] = {}
        for place, name, value in _pairs(text, where):
            if name.startswith("?"):
                query[name[1:]] = value
                continue
            _check_header(name, value, place)
            if name.lower() in map(str.lower, headers):
                raise InvalidSettings(f"{place}: the header {name} is given twice")
            headers[name] = value
        return cls(headers, query, where)

    def joined(self, other: NodeCredentials) -> Self:
        """Return the union of both credentials.

        Raises:
            InvalidSettings: both have the same header or parameter.
        """
        mine = {name.lower() for name in self.headers} | {f"?{name}" for name in self.query}
        for name in (*other.headers, *(f"?{name}" for name in other.query)):
            if name.lower() in mine or name in mine:
                raise InvalidSettings(f"{name} is given by {self.where} and by {other.where}")
        headers, query = {**self.headers, **other.headers}, {**self.query, **other.query}
        return type(self)(headers, query, self.where or other.where)

    def scrubbed(self, text: str) -> str:
        """Return *text*, as a server's answer, with `***` in place of every secret value."""
        values = (*self.headers.values(), *self.query.values())
        secrets = {part for value in values for part in value.split() if len(part) > 3}  # noqa: PLR2004
        for secret in sorted(secrets - {"Bearer", "Basic"}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


NO_CREDENTIALS: Final = NodeCredentials()


def credentials_of(settings: Settings) -> NodeCredentials:
    """Return the node credentials of the settings `node_headers` or `node_headers_file`.

    Raises:
        InvalidSettings: both are set, or one cannot be read or sent; no value is shown.
    """
    path = settings.node_headers_file
    if path is None:
        return NodeCredentials.read(settings.node_headers or "", where=_SOURCES)
    where = f"{_SOURCES}_FILE {path}"
    if settings.node_headers:
        raise InvalidSettings(f"both {_SOURCES} and {_SOURCES}_FILE are set; leave one of them off")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as exc:
        raise InvalidSettings(f"{where} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise InvalidSettings(f"{where} is no text in UTF-8") from None
    return NodeCredentials.read(text, where=where)


def _pairs(text: str, where: str) -> Iterable[tuple[str, str, str]]:
    if text.lstrip().startswith("{"):
        yield from _json_pairs(text, where)
        return
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        place = f"{where}, line {number}"
        name, found, value = said.partition("=" if said.startswith("?") else ":")
        if not found:
            raise InvalidSettings(
                f"{place}: expected Name: value, as in Authorization: Bearer TOKEN,"
                " or ?parameter=value"
            )
        yield place, name.strip(), value.strip()


def _json_pairs(text: str, where: str) -> Iterable[tuple[str, str, str]]:
    try:
        found = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as exc:
        at = f" (line {exc.lineno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise InvalidSettings(f"{where} begins with {{ and is no JSON object{at}") from None
    for name, value in found:
        if not isinstance(value, str):
            raise InvalidSettings(f"{where}: the value of {name[:80]!r} is no text")
        yield where, name, value


def _check_header(name: str, value: str, place: str) -> None:
    if not _HEADER.fullmatch(name):
        # The name is not shown: it may be a part of a secret.
        raise InvalidSettings(f"{place}: what stands before the colon is no header's name")
    if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
        raise InvalidSettings(f"{place}: the header {name} is made by the worker itself")
    if not _VALUE.fullmatch(value):
        raise InvalidSettings(
            f"{place}: the value of {name} cannot be sent: it is empty, or has letters beyond"
            " ASCII, tabs or line breaks"
        )
