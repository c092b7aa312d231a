"""A client of the fleet that the landed version's own library serves, in a process of its own.

`PYTHON -m tests.chaos.fleet.landed_client SOCKET JOURNAL` runs it, with the settings of the environment.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any, Final, Self

from producer.contract.config.settings import load_settings
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.processes import KeptProcess
from tests.polling import wait_until

_METHODS: Final = (
    "submit",
    "submit_surely",
    "submit_rows_surely",
    "cancel",
    "retry_surely",
    "move",
    "act",
    "act_surely",
    "name_graph",
    "wish",
    "lift_surely",
    "ask_node",
)
#: Only this user's processes reach the socket; the key is asked for by the protocol.
_KEY: Final = b"chaos"
_START_S: Final = 60.0


class _Manager(BaseManager):
    """Serves one `JournalingClient`; each thread of a caller has a connection of its own."""


class LandedClient:
    """Has the methods of a `JournalingClient`, which run in another process.

    Args:
        python: that of the landed version's environment.
        environment: complete, with the settings of the fleet.
        directory: an empty one for its socket and its path of modules.
    """

    def __init__(
        self,
        python: Path,
        *,
        environment: Mapping[str, str],
        directory: Path,
        journal: Path,
        log: Path,
    ) -> None:
        self._socket = directory / "client.socket"
        self._process = KeptProcess(
            "landed-client",
            (str(python), "-P", "-m", __name__, str(self._socket), str(journal.resolve())),
            environment={**environment, "PYTHONPATH": str(_only_tests(directory))},
            directory=directory,
            log=log,
        )
        self._client: Any = None

    def __enter__(self) -> Self:
        _Manager.register("client")
        self._process.start()
        wait_until(self._connect, description="the landed client answers", within_s=_START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _connect(self) -> bool:
        manager = _Manager(address=str(self._socket), authkey=_KEY)
        try:
            manager.connect()
        except OSError:
            return False
        self._client = manager.client()  # type: ignore[attr-defined] # as registered
        return True


def _only_tests(directory: Path) -> Path:
    """Return a path where `tests` is found and nothing of the product's present version."""
    path = directory / "path"
    path.mkdir(parents=True)
    (path / "tests").symlink_to(Path(__file__).resolve().parents[2], target_is_directory=True)
    return path


def main(socket: str, journal: str) -> None:
    """Serve until the process is ended."""
    client = JournalingClient(load_settings(), Path(journal))
    _Manager.register("client", callable=lambda: client, exposed=_METHODS)
    server = _Manager(address=socket, authkey=_KEY).get_server()
    threading.current_thread().name = "landed-client"
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
