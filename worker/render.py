"""One prompt on one node: from the graph to its history entry."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any, Final

from producer.contract.errors import (
    FleetUnreachable,
    NodeError,
    NodeTimeout,
    NodeUnreachable,
    PromptFailed,
    PromptInterrupted,
    PromptLost,
    PromptStalled,
    RunDeadlinePassed,
)
from producer.contract.graphs import Graph
from producer.contract.jobs import Job, Progress
from producer.store.job_store import JobStore
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.events import EventSocket
from worker.comfyui.history import HistoryEntry, Outcome
from worker.comfyui.watch import Watch
from worker.lease import Lease

_log = logging.getLogger(__name__)

#: How often a running prompt's progress is written to its record, s.
_NOTE_EVERY_S: Final = 0.5
#: How often /history is asked although the socket says nothing: silence proves nothing, s.
_POLL_EVERY_S: Final = 2.0
#: How often /queue is asked, which answers with whole graphs, s.
_FIND_EVERY_S: Final = 10.0
#: How long a node may not answer while it has our prompt, s.
_AWAY_S: Final = 20.0
#: How long the entry may lag behind the socket's word, s; measured: 355 ms, once.
_ENTRY_LAGS_S: Final = 5.0


class Stopping(Exception):
    """The worker leaves; the prompt stays for its successor on the node."""


class Render:
    """Has one node render one prompt at a time or several; holds no state of its own.

    Args:
        stopping: asked all along; true means leave the prompt where it is.
        stall: silence of a running prompt that means it is stuck.
    """

    def __init__(
        self, comfyui: ComfyUI, events: EventSocket, store: JobStore, *, node: str, stall: timedelta
    ) -> None:
        self._comfyui = comfyui
        self._events = events
        self._store = store
        self._node = node
        self._stall_s = stall.total_seconds()
        self.stopping = False

    def run(self, job: Job, graph: Graph, lease: Lease, *, post: bool) -> HistoryEntry:
        """Queue the job's prompt unless it is there already, and wait for its success.

        Args:
            post: False when the prompt may be at the node already: then it is looked for first.

        Raises:
            PromptRejected, PromptFailed, PromptInterrupted, PromptLost, PromptStalled: as named.
            RunDeadlinePassed: the prompt was cancelled at the node.
            LeaseLost, JobCancelled: likewise.
            Stopping: the worker leaves; the prompt was left alone.
        """
        prompt_id = str(job.prompt_id)
        with self._events.watch(prompt_id, graph_nodes=graph) as watch:
            try:
                if post or self._comfyui.find_prompt(prompt_id) is PromptPlace.UNKNOWN:
                    self._post(job, graph, prompt_id)
                entry = self._wait(job, lease, watch, prompt_id)
            except Stopping:
                raise
            except Exception:
                self._cancel(prompt_id)
                raise
        return _successful(entry, node=self._node)

    def _post(self, job: Job, graph: Graph, prompt_id: str) -> None:
        # Who looks at the node's queue, or into a picture, finds the job again.
        extra_data: dict[str, Any] = {"job_id": job.id}
        try:
            self._comfyui.queue_prompt(
                dict(graph),
                prompt_id=prompt_id,
                client_id=self._events.client_id,
                extra_data=extra_data,
            )
        except NodeError:
            # Without an answer it may be queued all the same; only the node knows.
            if self._place(prompt_id) in {None, PromptPlace.UNKNOWN}:
                raise

    def _wait(self, job: Job, lease: Lease, watch: Watch, prompt_id: str) -> HistoryEntry:
        began = time.monotonic()
        look = _Look(client_id=self._events.client_id)
        while True:
            look.ended |= watch.wait(_NOTE_EVERY_S)
            lease.check()
            if self.stopping:
                raise Stopping
            if time.monotonic() - began > job.run_within_s:
                raise RunDeadlinePassed(job.run_within_s)
            try:
                entry = self._look(prompt_id, look, heard_at=watch.last_heard or began)
            except (NodeUnreachable, NodeTimeout):
                # An hour's render is not given up for a moment's silence.
                if look.is_away_too_long():
                    raise
            else:
                look.answered()
                if entry:
                    return entry
            self._note(lease, watch.progress, look)

    def _look(self, prompt_id: str, look: _Look, *, heard_at: float) -> HistoryEntry | None:
        """Ask the node itself, when the socket says so or it is time to."""
        if look.ended or look.is_due("history", _POLL_EVERY_S):
            entry = self._entry(prompt_id, patience_s=_ENTRY_LAGS_S if look.ended else 0)
            if entry:
                return entry
            look.ended = False
        # A new connection may mean a new ComfyUI, which knows nothing of our prompt.
        reconnected = self._events.connected and look.is_new_client(self._events.client_id)
        if reconnected or look.is_due("queue", _FIND_EVERY_S):
            self._check_alive(prompt_id, heard_at=heard_at)
        return None

    def _entry(self, prompt_id: str, *, patience_s: float) -> HistoryEntry | None:
        """Return the prompt's history entry; after the socket's word it may be late."""
        deadline = time.monotonic() + patience_s
        while True:
            entry = self._comfyui.history(prompt_id)
            if entry or time.monotonic() > deadline:
                return entry
            time.sleep(0.02)

    def _check_alive(self, prompt_id: str, *, heard_at: float) -> None:
        """Make sure that the node still has the prompt and gets on with it."""
        if self._comfyui.find_prompt(prompt_id) is PromptPlace.UNKNOWN:
            raise PromptLost(self._node, f"prompt {prompt_id} is gone; did ComfyUI restart?")
        silent_s = time.monotonic() - heard_at
        if silent_s > self._stall_s:
            raise PromptStalled(self._node, f"no progress for {silent_s:.0f} s")

    def _note(self, lease: Lease, progress: Progress, look: _Look) -> None:
        if not look.is_new_progress(progress):
            return
        try:
            if self._store.note(lease.hold, progress=progress):
                lease.cancel.set()
        except FleetUnreachable as exc:
            # Progress is worth nothing against the render; the lease decides about that.
            _log.warning("job %s: progress not written: %s", lease.hold.job_id, exc)

    def _place(self, prompt_id: str) -> PromptPlace | None:
        try:
            return self._comfyui.find_prompt(prompt_id)
        except NodeError:
            return None

    def _cancel(self, prompt_id: str) -> None:
        """Leave no prompt behind that nobody waits for."""
        try:
            self._comfyui.cancel(prompt_id)
        except NodeError as exc:
            _log.warning("node %s: prompt %s not cancelled: %s", self._node, prompt_id, exc)


class _Look:
    """What a wait remembers of how it looked at its node."""

    def __init__(self, *, client_id: str) -> None:
        self.ended = False  #: The socket says so; the history has the last word.
        self._began = time.monotonic()
        self._done: dict[str, float] = {}
        self._client_id = client_id
        self._progress = Progress()
        self._away_since: float | None = None

    def is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now - self._done.get(what, self._began) < every_s:
            return False
        self._done[what] = now
        return True

    def is_new_client(self, client_id: str) -> bool:
        old, self._client_id = self._client_id, client_id
        return client_id != old

    def is_new_progress(self, progress: Progress) -> bool:
        old, self._progress = self._progress, progress
        return progress != old

    def is_away_too_long(self) -> bool:
        now = time.monotonic()
        self._away_since = self._away_since or now
        return now - self._away_since > _AWAY_S

    def answered(self) -> None:
        self._away_since = None


def _successful(entry: HistoryEntry, *, node: str) -> HistoryEntry:
    """Return the entry if the prompt succeeded."""
    if entry.outcome is Outcome.SUCCEEDED:
        return entry
    if entry.outcome is Outcome.INTERRUPTED:
        raise PromptInterrupted(node, "somebody interrupted the prompt at the node")
    error = entry.error
    if error is None:
        raise PromptFailed(node, "the prompt failed", graph_node=None, exception_type="unknown")
    where = f"graph node {error.graph_node} ({error.class_type})" if error.graph_node else "it"
    raise PromptFailed(
        node,
        f"{where} raised {error.exception_type}: {error.message}",
        graph_node=error.graph_node,
        exception_type=error.exception_type,
    )
