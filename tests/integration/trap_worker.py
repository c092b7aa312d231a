"""A Celery worker on our own settings, gate and waker, whose one task naps and writes that down.

``python -m tests.integration.trap_worker BROKER FILE``: FILE gets its JSON lines.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import signals
from celery.platforms import SecurityWarning

from celery_config import app
from producer import broker_transport
from tests.polling import wait_until
from worker.loop_waker import LoopWaker
from worker.scheduling.gate import GATE

QUEUE = "comfyfleet.pool.default.any"


class TrapWorker:
    """The process, and what it wrote down."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self.process = process
        self._file = file

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        return self._file.exists()

    def begun(self) -> list[str]:
        """Return the names of the naps that began, in that order."""
        return [line["name"] for line in self._lines() if "ended" not in line]

    def naps(self) -> list[dict]:
        """Return the naps that ended: name, and when they held the card, Unix s."""
        return [line for line in self._lines() if "ended" in line]

    def names(self) -> list[str]:
        """Return the names of the naps that ended, in that order."""
        return [nap["name"] for nap in self.naps()]

    def _lines(self) -> list[dict]:
        return [json.loads(line) for line in self._file.read_text().splitlines()]


@contextmanager
def trap_worker(broker_url: str, file: Path) -> Iterator[TrapWorker]:
    """Start one, wait until it takes messages, and kill it in the end."""
    command = [sys.executable, "-m", "tests.integration.trap_worker", broker_url, str(file)]
    with subprocess.Popen(command) as process:
        worker = TrapWorker(process, file)
        try:
            wait_until(lambda: worker.is_ready, description="the worker is ready")
            yield worker
        finally:
            process.kill()


@app.task(name="trap.nap")
def nap(name: str, card_s: float, beside_s: float) -> None:
    """Hold the graphics card for *card_s*, then a slot alone for *beside_s*."""
    slot = GATE.take_slot()
    began = time.time()
    _write({"name": name, "began": began})
    time.sleep(card_s)
    ended = time.time()
    slot.release()
    time.sleep(beside_s)
    _write({"name": name, "began": began, "ended": ended})


def _write(line: dict) -> None:
    with Path(sys.argv[2]).open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(line)}\n")


def _serve(broker_url: str) -> None:
    # As worker.tasks does it; there is no node here, and Redis may go away under a task.
    warnings.simplefilter("ignore", SecurityWarning)
    loop_waker = LoopWaker()
    broker_transport.use(on_message_skipped=GATE.on_message_skipped)
    app.conf.broker_url = broker_url
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "queue_order_strategy": "worker.scheduling.queue_order:QueueOrder",
    }
    GATE.set_on_open(loop_waker)
    GATE.set_ready(ready=True)
    signals.task_postrun.connect(loop_waker)
    signals.worker_ready.connect(lambda sender, **_: loop_waker.attach(sender.hub), weak=False)
    signals.worker_ready.connect(lambda **_: Path(sys.argv[2]).touch(), weak=False)
    app.Worker(
        queues=[QUEUE],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="CRITICAL",
        quiet=True,
    ).start()


if __name__ == "__main__":
    _serve(sys.argv[1])
