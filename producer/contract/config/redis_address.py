"""Redis address: parses COMFYFLEET_REDIS_URL once, for both clients.

redis-py (records) and kombu (messages) parse a URL differently: another database, no user name, no
check of the certificate. So each gets its options from here, not the URL itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode

from producer.contract.config.addresses import ENCODE, split_address

_EXPECTED: Final = "expected redis://HOST:PORT/DB, rediss://... or unix:///PATH?db=DB"
_INSTEAD: Final = {
    "sentinel": "Sentinel is not supported: give the primary's address, as redis://HOST:PORT/DB",
    "cluster": "a cluster is not supported: one server holds a fleet, as redis://HOST:PORT/DB",
    "valkey": "write redis:// or rediss://, which Valkey speaks as well",
}
_SOCKETS: Final = frozenset({"unix", "redis+socket", "socket"})
#: The option for the database: redis-py's name and Celery's.
_DATABASE: Final = ("db", "virtual_host")
_LOGIN: Final = ("username", "password")
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS: Final = (*_FILES, "ssl_cert_reqs", "ssl_check_hostname")
_REQUIREMENTS: Final = ("none", "optional", "required")
_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class RedisAddress:
    """One server and database.

    Args:
        path: of its unix socket; host and port are then ignored.
        tls: redis-py's `ssl_...` options, `{"ssl_cert_reqs": "required", ...}`; None: no TLS.
    """

    host: str = "localhost"
    port: int = 6379
    db: int = 0
    path: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse *url* in the spelling of redis-py, Celery or a provider's page.

        Raises:
            ValueError: it is invalid; the message says what to write, and holds no secret.
        """
        scheme = url.partition("://")[0].lower()
        for word, why in _INSTEAD.items():
            if word in scheme:
                raise ValueError(why)
        if scheme not in {"redis", "rediss", *_SOCKETS}:
            raise ValueError(_EXPECTED)
        if ";" in url and "://" in url.partition(";")[2]:
            raise ValueError(f"one address is expected, not a list: {_EXPECTED}")
        parts = split_address(url)
        if parts.fragment:
            raise ValueError(f"leave off what begins with #; in a password, {ENCODE}")
        options = _options(parts.query, is_encrypted=scheme == "rediss")
        username, password = _login(parts, options)
        database = {options[name] for name in _DATABASE if name in options}
        if scheme in _SOCKETS:
            if parts.hostname or parts.path in {"", "/"}:
                raise ValueError("a socket is written with three slashes: unix:///PATH?db=DB")
            path = unquote(parts.path)
            return cls(path=path, db=_database(database), username=username, password=password)
        return cls(
            host=parts.hostname or cls.host,
            port=parts.port or cls.port,
            db=_database(database | {parts.path.strip("/")} - {""}),
            username=username,
            password=password,
            tls=_tls(options) if scheme == "rediss" else None,
        )

    @property
    def client_options(self) -> dict[str, Any]:
        """The keyword arguments for `redis.Redis`."""
        login = {"db": self.db, "username": self.username, "password": self.password}
        if self.path is not None:
            return {"unix_socket_path": self.path, **login}
        tls = {} if self.tls is None else {"ssl": True, **self.tls}
        return {"host": self.host, "port": self.port, **login, **tls}

    @property
    def broker_url(self) -> str:
        """The URL for Celery; kombu (5.7.0) verifies a certificate only if the URL says so."""
        login = f"{quote(self.username or '', safe='')}:{quote(self.password or '', safe='')}@"
        login = login.removeprefix(":@")
        if self.path is not None:
            return f"redis+socket://{login}{quote(self.path)}?virtual_host={self.db}"
        scheme, query = ("redis", "") if self.tls is None else ("rediss", _query(self.tls))
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{login}{host}:{self.port}/{self.db}{query}"


def _options(query: str, *, is_encrypted: bool) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in (*_DATABASE, *_LOGIN, *_TLS):
            known = ", ".join((*_DATABASE, *_TLS))
            raise ValueError(f"the option {name[:40]!r} is not known here; there are {known}")
        if name in _TLS and not is_encrypted:
            raise ValueError(f"{name} means something with rediss:// alone")
    return options


def _login(parts: SplitResult, options: Mapping[str, str]) -> tuple[str | None, str | None]:
    username = unquote(parts.username or "") or options.get("username") or None
    password = unquote(parts.password or "") or options.get("password") or None
    if username and not password:
        raise ValueError(
            "a user name stands without a password; for a password alone write :PASSWORD@HOST"
        )
    return username, password


def _database(said: set[str]) -> int:
    if len(said) > 1:
        raise ValueError("two databases are named; leave one of them off")
    number = next(iter(said), "0")
    if not (number.isascii() and number.isdecimal()) or len(number) > 5:  # noqa: PLR2004
        raise ValueError(
            "a database is a number, as the 0 in redis://HOST:PORT/0;"
            " a socket is written unix:///PATH?db=0"
        )
    return int(number)


def _tls(options: Mapping[str, str]) -> dict[str, Any]:
    said = options.get("ssl_cert_reqs", "required")
    requirement = said.lower().removeprefix("cert_")
    if requirement not in _REQUIREMENTS:
        raise ValueError(f"ssl_cert_reqs is {said[:40]!r}; expected required, optional or none")
    said = options.get("ssl_check_hostname", "true")
    if said.lower() not in _TRUTH:
        raise ValueError(f"ssl_check_hostname is {said[:40]!r}; expected true or false")
    files = {name: _file(name, options[name]) for name in _FILES if name in options}
    if "ssl_keyfile" in files and "ssl_certfile" not in files:
        raise ValueError("ssl_keyfile stands without ssl_certfile, the certificate to the key")
    checks = requirement != "none" and _TRUTH[said.lower()]
    return {"ssl_cert_reqs": requirement, "ssl_check_hostname": checks, **files}


def _file(name: str, said: str) -> str:
    path = Path(said).expanduser()
    if not path.is_file():
        raise ValueError(f"{name} names {said[:80]!r}, which is no file")
    return str(path)


def _query(tls: Mapping[str, Any]) -> str:
    return "?" + urlencode(
        {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in tls.items()
        }
    )
