"""The Celery worker and its one task: parse the message, run the attempt, return."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from threading import Thread
from typing import Any, Final

from celery import signals
from celery.platforms import SecurityWarning

from producer import broker_transport
from producer.celery_app import celery_app
from producer.contract.config.settings import Settings
from producer.contract.ids import JobId
from producer.contract.queues import RUN_TASK, node_queue
from producer.dispatch import broker_url
from worker.assembly import Hooks, Options
from worker.loop_waker import LoopWaker
from worker.scheduling.gate import GATE
from worker.service import NAME_TAKEN, NodeWorker

_log = logging.getLogger(__name__)

app = celery_app()

#: Exit status after a second signal, as a shell reports SIGTERM.
_AT_ONCE: Final = 143


class CeleryWorker:
    """A Celery worker that serves one node."""

    def __init__(self, options: Options, settings: Settings) -> None:
        self._settings = settings
        self._consumer: Any = None
        self._asked_to_stop = 0
        self._stopper = Thread(target=self._stop, name="stopper")
        self._wanted: list[str] = []
        self._loop_waker = LoopWaker(broker_transport.end_stale_pops)
        self.node = NodeWorker(
            options,
            settings,
            Hooks(
                threads=app.conf.worker_concurrency,
                queues=lambda: self._wanted,
                on_queue=self._consume_from,
                on_queue_retired=self._consume_no_more_from,
                on_taken_over=self._leave,
            ),
        )

    def serve(self) -> int:
        """Run until told to stop; return the exit status.

        Raises:
            FleetError: Redis or S3 is not available, or the node's name is taken; nothing was started.
        """
        global _serving  # noqa: PLW0603 - Celery calls a module's function, not an object's
        _serving = self
        self.node.join()
        GATE.set_on_open(self._loop_waker)
        signals.task_postrun.connect(self._loop_waker)
        signals.worker_ready.connect(self._ready)
        signals.worker_shutting_down.connect(self._shutting_down)
        worker = _celery_worker(self.node.options.name, self._settings)
        try:
            worker.start()
        finally:
            if self._asked_to_stop:
                # Celery does not know of attempts that were taken back: they get the grace as well.
                self._stopper.join()
            else:
                self.node.stop()
            self.node.close()
        return int(worker.exitcode or 0)

    def _ready(self, sender: Any, **_: Any) -> None:
        self._consumer = sender
        self._loop_waker.attach(sender.hub)
        self.node.start()
        _log.info("node %s is served", self.node.options.name)

    def _shutting_down(self, **_: Any) -> None:
        # Runs inside the signal handler, which must not wait for a lock: a thread does the rest.
        self._asked_to_stop += 1
        if self._asked_to_stop == 1:
            self._stopper.start()
        else:
            os._exit(_AT_ONCE)

    def _stop(self) -> None:
        """End the process within the grace; Celery itself would wait for its tasks without limit."""
        self.node.stop()
        if self.node.is_busy:
            _log.warning("attempts in progress are left to the next worker")
            self.node.close()
            os._exit(0)

    def _consume_from(self, queue: str) -> None:
        if queue in self._wanted:
            return
        self._wanted.append(queue)
        # Celery's consumer may only be touched on its own loop.
        self._consumer.hub.call_soon(self._consumer.add_task_queue, queue)
        self._loop_waker()
        _log.info("node %s takes jobs from %s", self.node.options.name, queue)

    def _consume_no_more_from(self, queue: str) -> None:
        if queue not in self._wanted or queue == node_queue(self.node.options.name):
            return
        self._wanted.remove(queue)
        # A pop in progress may still return a message of that queue: kombu puts it back.
        self._consumer.hub.call_soon(self._consumer.cancel_task_queue, queue)

    def _leave(self, holder: str) -> None:
        _log.error("node %s was taken over by %s; leaving", self.node.options.name, holder)
        os._exit(NAME_TAKEN)


_serving: CeleryWorker | None = None


@app.task(name=RUN_TASK)
def run_job(job_id: str, attempt: int) -> None:
    """Run one attempt at a job."""
    if _serving is None:
        raise RuntimeError("start workers with `comfyfleet worker`, not with celery itself")
    _serving.node.run(JobId(job_id), attempt)


@signals.setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """Keep Celery from configuring logging: it does not once this signal has a handler."""


def _celery_worker(name: str, settings: Settings) -> Any:
    # Celery warns root about pickled messages; only JSON is accepted here, and containers often run as root.
    warnings.simplefilter("ignore", SecurityWarning)
    # Celery prefers these variables to its settings; if set, they belong to another app.
    for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ.pop(variable, None)
    # Celery looks for it when the first task ends; a process short of file descriptors would fail there.
    _ = app.backend
    broker_transport.use(on_message_skipped=GATE.on_message_skipped)
    app.conf.broker_url = broker_url(settings.redis_url)
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "queue_order_strategy": "worker.scheduling.queue_order:QueueOrder",
        "client_name": f"comfyfleet-{name}",
    }
    return app.Worker(
        hostname=f"{name}@{socket.gethostname()}",
        queues=[node_queue(name)],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
        quiet=True,
    )
