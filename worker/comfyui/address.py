"""Where a ComfyUI answers."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from producer.contract.settings import InvalidSettings, without_password


@dataclass(frozen=True)
class NodeAddress:
    """The base URL of one ComfyUI, with the path that a reverse proxy may put before its own.

    Args:
        base: `http[s]://[user:password@]host[:port][/path]` without a slash at its end.
    """

    base: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read *url* as a person gives it.

        Raises:
            InvalidSettings: it is no HTTP URL.
        """
        parts = urlsplit(url.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise InvalidSettings(
                f"ComfyUI's address is {without_password(url)!r}, expected http://HOST:PORT"
            )
        return cls(urlunsplit(parts._replace(path=parts.path.rstrip("/"), fragment="")))

    def __str__(self) -> str:
        """As it may be shown: without a password."""
        return without_password(self.base)

    @property
    def host(self) -> str:
        """The host's name or number alone."""
        return urlsplit(self.base).hostname or ""

    @property
    def port(self) -> int:
        """The TCP port."""
        return urlsplit(self.base).port or (443 if self.is_encrypted else 80)

    @property
    def is_encrypted(self) -> bool:
        """Whether ComfyUI, or the proxy before it, speaks TLS."""
        return self.base.startswith("https:")

    def http(self, path: str) -> str:
        """Return the URL of *path*, which begins with a slash."""
        return self.base + path

    def websocket(self, client_id: str) -> str:
        """Return the URL of the events for *client_id*.

        The parameter is `clientId`; ComfyUI 0.3.64 to 0.33 ignore any other spelling and make
        up an id.
        """
        return f"ws{self.base.removeprefix('http')}/ws?clientId={client_id}"

    @property
    def authorization(self) -> str | None:
        """The header a proxy wants, made of the URL's user and password; None without a user."""
        parts = urlsplit(self.base)
        if not parts.username:
            return None
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


def ca_file() -> str:
    """Return the certificates by which https nodes are judged.

    It is `$SSL_CERT_FILE` where set, as OpenSSL reads it: the clients look at no other variable,
    since those that name a certificate file come along with the ones that name a proxy.
    """
    return os.environ.get("SSL_CERT_FILE") or DEFAULT_CA_BUNDLE_PATH
