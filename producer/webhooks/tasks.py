"""The Celery worker that tells webhooks, and its one task."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from typing import Any, Final

from celery import signals
from celery.platforms import SecurityWarning

from producer import broker_transport
from producer.celery_app import celery_app
from producer.contract.config.settings import Settings
from producer.contract.queues import HOOK_QUEUE, HOOK_TASK
from producer.dispatch import broker_url
from producer.webhooks.service import SENDERS, HookService

app = celery_app()

_log = logging.getLogger(__name__)

#: The exit status by which a process asks to be started again.
_RESTART: Final = 75

_service: HookService | None = None


def serve(settings: Settings) -> int:
    """Tell webhooks until Ctrl-C or SIGTERM; return the exit status.

    What is being sent then gets to its end, within 20 s; a second signal ends the process at once.

    Raises:
        FleetUnreachable: Redis is not available; nothing was started.
    """
    global _service  # noqa: PLW0603 - Celery calls a module's function, not an object's
    _service = service = HookService(settings, on_stuck=_restart)
    service.check()
    signals.worker_ready.connect(lambda **_: service.start(), weak=False)
    signals.worker_shutting_down.connect(lambda **_: service.stop(), weak=False)
    worker = _celery_worker(settings)
    try:
        worker.start()
    finally:
        service.stop()
        service.close()
    return int(worker.exitcode or 0)


def _restart() -> None:
    _log.error("messages wake no sender any more; this process ends, to be started again")
    os._exit(_RESTART)


@app.task(name=HOOK_TASK)
def tell() -> None:
    """Deliver what is due."""
    if _service is None:
        raise RuntimeError("start senders with `comfyfleet hooks`, not with celery itself")
    _service.send()


@signals.setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """Keep Celery from configuring logging: it does not once this signal has a handler."""


def _celery_worker(settings: Settings) -> Any:
    # As for workers of nodes: only JSON is accepted, and these variables belong to another app.
    warnings.simplefilter("ignore", SecurityWarning)
    for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ.pop(variable, None)
    broker_transport.use(on_message_skipped=lambda: None)
    app.conf.broker_url = broker_url(settings.redis_url)
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "client_name": "comfyfleet-hooks",
    }
    return app.Worker(
        hostname=f"hooks-{os.getpid()}@{socket.gethostname()}",
        queues=[HOOK_QUEUE],
        concurrency=SENDERS,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
        quiet=True,
    )
