"""State directory of one embedded stack: its data, logs and, while it runs, secrets."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from infra.local.ports import choose_ports
from infra.local.private_files import write_private
from producer.contract.errors import FleetError

#: How long the services of a stack whose supervisor was killed may take to end.
_LEFTOVERS_GRACE_S: Final = 90.0
_POLL_EVERY_S: Final = 0.1

#: `choose_ports` or `choose_twin_ports`.
Chooser: TypeAlias = Callable[[Sequence[str], Mapping[str, int]], dict[str, int]]


class StateDirInUse(FleetError):
    """Another stack runs on the state directory."""


class StateDir:
    """Paths below the state directory. Everything in it is its owner's alone."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.settings_file = self.path / "comfyfleet.toml"
        self.credentials_file = self.path / "aws-credentials"
        self.api_key_file = self.path / "api-key"
        self._ports_file = self.path / "ports.json"

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the directory for one stack; yield the lock's file descriptor.

        Services inherit the descriptor, so the lock is free only when the last one has ended:
        two servers never write the same data, even after a ``kill -9`` of the first supervisor.

        Raises:
            StateDirInUse: another stack holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True, mode=0o700)
        (self.path / ".gitignore").write_text("*\n")
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
            self.remove_settings()  # a stack that was killed has left its own
            yield fd
        finally:
            os.close(fd)

    def ports(self, names: Sequence[str], choose: Chooser = choose_ports) -> dict[str, int]:
        """Return a port for each of *names*, the same as last time where it is still free.

        SeaweedFS names a folder after its master's port, and people keep addresses.
        """
        kept: dict[str, int] = {}
        with suppress(FileNotFoundError, ValueError):
            kept = json.loads(self._ports_file.read_text())
        chosen = choose(names, kept)
        self._ports_file.write_text(json.dumps({**kept, **chosen}, indent=1))
        return chosen

    def write_settings(self, settings: dict[str, str]) -> None:
        """Write the settings file that other processes of the fleet read."""
        # A JSON string is a TOML string too, as long as it is not escaped to ASCII.
        lines = (f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in settings.items())
        write_private(self.settings_file, "".join(lines))

    def write_credentials(self, access_key: str, secret_key: str) -> None:
        """Write S3 credentials in the form of an AWS shared credentials file."""
        write_private(
            self.credentials_file,
            f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n",
        )

    def write_api_key(self, key: str) -> None:
        """Write the key of the HTTP API, for other shells of the same user."""
        write_private(self.api_key_file, f"{key}\n")

    def remove_settings(self) -> None:
        """Remove settings and credentials: they are of a stack that has ended."""
        self.settings_file.unlink(missing_ok=True)
        self.credentials_file.unlink(missing_ok=True)
        self.api_key_file.unlink(missing_ok=True)

    def _lock(self, fd: int) -> None:
        deadline = time.monotonic() + _LEFTOVERS_GRACE_S
        while not _try_lock(fd):
            holder = int(os.pread(fd, 32, 0) or 0)
            if _is_alive(holder):
                raise StateDirInUse(
                    f"a stack already runs on {self.path} (process {holder})",
                    advice="submit to it, stop it, or choose another directory with --state",
                )
            if time.monotonic() > deadline:
                raise StateDirInUse(
                    f"services of an earlier stack still run on {self.path}, though process"
                    f" {holder} that started them has ended",
                    advice=f"`fuser {self.path / 'lock'}` lists them",
                )
            time.sleep(_POLL_EVERY_S)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
