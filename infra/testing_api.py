"""The HTTP API in a thread of a test's own process: it starts in a fraction of the time of a process of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from infra.local.ports import choose_ports
from producer.aio import AsyncProducer
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetError
from producer.http.app import create_app
from producer.http.server import Server, config_of
from producer.http.streams import Streams
from producer.intake.input_policy import InputPolicy

_STARTS_WITHIN_S: Final = 30.0


@contextmanager
def running_api(settings: Settings) -> Iterator[str]:
    """Yield the address of the API of a fleet, which serves as long as the block.

    Raises:
        FleetError: it does not start.
    """
    fleet = AsyncProducer(settings, input_policy=InputPolicy.forms_only(buckets=[]))
    app = create_app(fleet, settings)
    port = choose_ports(["api"], {})["api"]
    config = config_of(app, host="127.0.0.1", port=port, access_log=False, logs=False)
    server = _Announced(config, app.state.streams)
    thread = threading.Thread(target=server.run, name="http-api", daemon=True)
    thread.start()
    try:
        if not server.serves.wait(_STARTS_WITHIN_S):
            raise FleetError("the HTTP API of the tests does not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


class _Announced(Server):
    """A server that says when it serves."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config, streams)
        self.serves = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.serves.set()
