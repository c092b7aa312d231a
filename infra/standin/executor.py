"""Executor: the one thread that executes prompts, one after the other, as ComfyUI's does."""

from __future__ import annotations

import logging
import threading

from infra.standin.faults import Faults
from infra.standin.faults_run import Forgotten, RunFaults
from infra.standin.gpu import Gpu, Stopped
from infra.standin.journal import Journal
from infra.standin.prompt_messages import Teller
from infra.standin.prompt_queue import Item, PromptQueue
from infra.standin.prompt_run import PromptRun
from infra.standin.websocket import Sockets

_log = logging.getLogger(__name__)


class Executor:
    """Executes queued prompts until it is stopped, or until an unhandled exception ends its thread."""

    def __init__(
        self,
        *,
        gpu: Gpu,
        queue: PromptQueue,
        sockets: Sockets,
        journal: Journal,
        faults: Faults,
    ) -> None:
        self._gpu = gpu
        self._queue = queue
        self._sockets = sockets
        self._journal = journal
        self._faults = faults
        self._current: tuple[str | None, PromptRun] | None = None
        self._thread = threading.Thread(target=self._run, name="standin-executor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a graph node in `Gpu.work` ends at once."""
        self._gpu.stopped.set()
        self._queue.close()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def current_graph_node(self, client_id: str) -> str | None:
        """Return the graph node that runs for *client_id*, which a reconnecting socket is sent; else None."""
        whose, run = self._current or (None, None)
        return run.graph_node if run and whose == client_id else None

    def _run(self) -> None:
        try:
            while (item := self._queue.take()) is not None:
                self._execute(item)
        except Stopped:
            return
        except BaseException:  # noqa: BLE001 - an unhandled exception ends only the thread, as in ComfyUI
            _log.exception("the executing thread ended; only a restart helps")

    def _execute(self, item: Item) -> None:
        self._gpu.free()
        _, prompt_id, _, extra_data, _ = item
        client_id, job = extra_data.get("client_id"), extra_data.get("job_id")
        note = self._journal.begin(prompt_id, client_id=client_id, job=job)
        is_current = self._gpu.options.is_current
        teller = Teller(self._sockets, prompt_id, client_id, thins_progress=is_current)
        interrupted = self._queue.interrupted
        faults = RunFaults(self._faults, item, gpu=self._gpu, interrupted=interrupted)
        run = PromptRun(
            item,
            gpu=self._gpu,
            interrupted=interrupted,
            teller=teller,
            note=note,
            faults=faults,
            queue_again=self._queue.put_again,
        )
        self._current = (client_id, run)
        try:
            outcome = run.execute()
        except Forgotten:
            self._journal.end(note, "forgotten")
            self._queue.abandon()
            return
        finally:
            self._current = None
        self._journal.end(note, outcome)
        entry = faults.recorded(run.history_entry())
        if entry is None:
            self._queue.abandon()
        else:
            self._queue.finish(entry)
        teller.end_prompt()
