"""Where a ComfyUI answers, and what a proxy before it wants to see."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlunsplit

from producer.contract.config.addresses import split_address, without_password
from producer.contract.config.node_credentials import NO_CREDENTIALS, NodeCredentials
from producer.contract.errors import InvalidSettings

_HTTP_PORT: Final = 80
_HTTPS_PORT: Final = 443


@dataclass(frozen=True)
class NodeAddress:
    """The base URL of one ComfyUI, with the path that a reverse proxy may put before its own.

    Args:
        base: `http[s]://host[:port][/path]` without a slash at its end; anybody may see it.
        credentials: what goes with every request.
    """

    base: str
    credentials: NodeCredentials = field(default=NO_CREDENTIALS, repr=False)

    @classmethod
    def parse(cls, url: str, credentials: NodeCredentials = NO_CREDENTIALS) -> Self:
        """Read *url* as a person gives it, or copies it out of the browser.

        User and password, and what stands after a "?", become credentials.

        Raises:
            InvalidSettings: it is no HTTP URL, or gives what *credentials* have already. The
                message holds no secret.
        """
        url = url.strip().strip("'\"")
        try:
            parts = split_address(_with_scheme_in_lower_case(url), usual="http")
        except ValueError as exc:
            raise InvalidSettings(f"ComfyUI's address: {exc}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidSettings(
                f"ComfyUI's address is {without_password(url)!r}, expected http://HOST:PORT"
            )
        _, _, place = parts.netloc.rpartition("@")
        base = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
        return cls(base, credentials.joined(_given_by(parts)))

    def __str__(self) -> str:
        """As it may be shown."""
        return self.base

    @property
    def host(self) -> str:
        """The host's name or number alone."""
        return split_address(self.base).hostname or ""

    @property
    def port(self) -> int:
        """The TCP port."""
        default = _HTTPS_PORT if self.is_encrypted else _HTTP_PORT
        return split_address(self.base).port or default

    @property
    def is_encrypted(self) -> bool:
        """Whether ComfyUI, or the proxy before it, speaks TLS."""
        return self.base.startswith("https:")

    def http(self, path: str) -> str:
        """Return the URL of *path*, which begins with a slash; without the credentials."""
        return self.base + path

    def websocket(self, client_id: str) -> str:
        """Return the URL of the events for *client_id*, with the credentials that URLs carry.

        The parameter is `clientId`; ComfyUI 0.3.64 to 0.33 ignore any other spelling and make
        up an id.
        """
        query = urlencode({"clientId": client_id, **self.credentials.query})
        return f"ws{self.base.removeprefix('http')}/ws?{query}"

    def other(self, url: str) -> Self:
        """Return the address that another node of the fleet announces.

        It gets our credentials if it is on our host, and not on plain HTTP where we are on
        HTTPS: whoever may write a node's record could else have them sent to himself.

        Raises:
            InvalidSettings: *url* is no HTTP URL.
        """
        other = type(self).parse(url)
        same = other.host == self.host and other.is_encrypted >= self.is_encrypted
        return replace(other, credentials=self.credentials) if same else other


def _with_scheme_in_lower_case(url: str) -> str:
    scheme, found, rest = url.partition("://")
    return f"{scheme.lower()}://{rest}" if found else url


def _given_by(parts: SplitResult) -> NodeCredentials:
    headers: Mapping[str, str] = {}
    if parts.username:
        # UTF-8, as browsers encode it and RFC 7617 recommends.
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return NodeCredentials(headers, query, where="its address")
