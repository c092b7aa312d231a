"""Node address: the base URL of a ComfyUI, with the credentials for a proxy in front of it."""

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
    """The base URL of one ComfyUI, with the path prefix of a reverse proxy if there is one.

    Args:
        base: `http[s]://host[:port][/path]` without a slash at its end; holds no secret.
        credentials: sent with every request.
    """

    base: str
    credentials: NodeCredentials = field(default=NO_CREDENTIALS, repr=False)

    @classmethod
    def parse(cls, url: str, credentials: NodeCredentials = NO_CREDENTIALS) -> Self:
        """Parse *url* as a person writes it, or copies it from a browser.

        User, password and query become credentials.

        Raises:
            InvalidSettings: it is no HTTP URL, or has a header or parameter that *credentials* have,
                too; the message holds no secret.
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
        """Return the base URL, which holds no secret."""
        return self.base

    @property
    def host(self) -> str:
        """The host's name or IP address."""
        return split_address(self.base).hostname or ""

    @property
    def port(self) -> int:
        """The TCP port."""
        default = _HTTPS_PORT if self.is_encrypted else _HTTP_PORT
        return split_address(self.base).port or default

    @property
    def is_encrypted(self) -> bool:
        """Whether it is HTTPS."""
        return self.base.startswith("https:")

    def http(self, path: str) -> str:
        """Return the URL of *path*, which begins with a slash, without credentials."""
        return self.base + path

    def websocket(self, client_id: str) -> str:
        """Return the URL of the websocket for *client_id*, with the credentials that are parameters.

        The parameter is `clientId`; ComfyUI 0.3.64 to 0.33 ignore any other spelling and generate
        an id.
        """
        query = urlencode({"clientId": client_id, **self.credentials.query})
        return f"ws{self.base.removeprefix('http')}/ws?{query}"

    def other(self, url: str) -> Self:
        """Return the address in another node's record.

        It gets this one's credentials only on the same host, and not over plain HTTP if this one is
        HTTPS: else a forged node record could have them sent elsewhere.

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
