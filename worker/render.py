"""One prompt on one node: from the graph to its history entry."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any, Final

from producer.contract.crashpoints import crashpoint
from producer.contract.errors import (
    FleetError,
    FleetUnreachable,
    HandedBack,
    LeaseLost,
    NodeError,
    NodeFault,
    NodeTimeout,
    NodeUnreachable,
    PromptFailed,
    PromptIncomplete,
    PromptInterrupted,
    PromptLost,
    PromptStalled,
    RunDeadlinePassed,
)
from producer.contract.graphs import Graph
from producer.contract.jobs import Job, Phase, Progress
from producer.store.job_store import JobStore
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.events import EventSocket
from worker.comfyui.history import HistoryEntry, Outcome
from worker.comfyui.watch import Watch
from worker.departure import Departure, Stopping
from worker.lease import JobCancelled, Lease
from worker.look import Look
from worker.lookahead import Slot
from worker.misplaced import Misplaced
from worker.patience import Patience

_log = logging.getLogger(__name__)

#: How often a running prompt's progress is written to its record, s.
_NOTE_EVERY_S: Final = 0.5
#: How often /history is asked although the socket says nothing: silence proves nothing, s.
_POLL_EVERY_S: Final = 2.0
#: How often /queue is asked, which answers with whole graphs, s.
_FIND_EVERY_S: Final = 10.0
#: How long a prompt whose post got no answer may take to turn up, s.
_TURNS_UP_S: Final = 5.0
#: How long the entry may lag behind the socket's word, s; measured: 355 ms, once.
_ENTRY_LAGS_S: Final = 5.0


class Render:
    """Has one node render prompts; holds no state of its own.

    Args:
        stall: silence of a running prompt that means it is stuck.
    """

    def __init__(
        self,
        comfyui: ComfyUI,
        events: EventSocket,
        store: JobStore,
        *,
        node: str,
        stall: timedelta,
        departure: Departure,
        patience: Patience,
        misplaced: Misplaced,
    ) -> None:
        self._comfyui = comfyui
        self._events = events
        self._store = store
        self._node = node
        self._stall_s = stall.total_seconds()
        self._departure = departure
        self._patience = patience
        self._misplaced = misplaced

    def run(self, job: Job, graph: Graph, lease: Lease, slot: Slot) -> HistoryEntry:
        """Queue the job's prompt and wait for its success.

        Args:
            slot: released as soon as the graphics card is free for the next job.

        Raises:
            PromptRejected, PromptFailed, PromptInterrupted, PromptLost, PromptStalled: as named.
            RunDeadlinePassed, NodeLeaves: the prompt was cancelled at the node.
            HandedBack: it had not begun, and another node can begin at once.
            LeaseLost, JobCancelled: likewise.
            Stopping: the worker leaves; the prompt was left alone.
        """
        return self._watched(job, graph, lease, slot, posted_s=0.0)

    def resume(self, job: Job, graph: Graph, lease: Lease, slot: Slot) -> HistoryEntry:
        """Wait for a prompt that a predecessor may have queued; errors as of `run`.

        A prompt that the node does not know is lost, even if it was never posted: nobody can
        tell, and a second render needs a new attempt.
        """
        ran_for = self._store.running_for(job.id)
        return self._watched(job, graph, lease, slot, posted_s=ran_for.total_seconds())

    def _watched(
        self, job: Job, graph: Graph, lease: Lease, slot: Slot, *, posted_s: float
    ) -> HistoryEntry:
        prompt_id = str(job.prompt_id)
        with self._events.watch(prompt_id, graph_nodes=graph) as watch:
            try:
                look = (
                    self._attached(job, lease, posted_s)
                    if posted_s
                    else self._posted(job, graph, lease, slot)
                )
                slot.posted(job.template, on_change=watch.wake)
                entry = self._wait(job, lease, watch, look, slot)
                slot.release(rendered=not posted_s)
            except (Stopping, HandedBack):
                raise
            except LeaseLost:
                # A successor on this very node waits for this very prompt; any other does not.
                if self._was_overtaken(job):
                    self._cancel(prompt_id)
                raise
            except Exception:
                self._cancel(prompt_id)
                raise
        return _complete(_successful(entry, node=self._node), graph, node=self._node)

    def _posted(self, job: Job, graph: Graph, lease: Lease, slot: Slot) -> Look:
        phase = Phase.RENDERING if slot.is_next else Phase.AHEAD
        self._enter(phase, lease)
        client_id = self._post(job, graph, str(job.prompt_id))
        crashpoint("prompt.posted")
        return Look(client_id=client_id, said_ahead=phase is Phase.AHEAD)

    def _attached(self, job: Job, lease: Lease, posted_s: float) -> Look:
        place = self._check_known(str(job.prompt_id))
        waits = place is PromptPlace.QUEUED and job.phase is Phase.AHEAD
        self._enter(Phase.AHEAD if waits else Phase.RENDERING, lease)
        look = Look(client_id=None, ran_for_s=posted_s, said_ahead=waits)
        look.ended = place is PromptPlace.FINISHED
        return look

    def _post(self, job: Job, graph: Graph, prompt_id: str) -> str:
        """Queue the prompt; return the client id that hears of it."""
        client_id = self._events.client_id
        # Who looks at the node's queue, or into a picture, finds the job again.
        extra_data: dict[str, Any] = {"job_id": job.id}
        try:
            self._comfyui.queue_prompt(
                dict(graph), prompt_id=prompt_id, client_id=client_id, extra_data=extra_data
            )
        except (NodeUnreachable, NodeTimeout, NodeFault):
            # Without an answer it may be queued all the same; only the node knows.
            if not self._turns_up(prompt_id):
                raise
        return client_id

    def _turns_up(self, prompt_id: str) -> bool:
        """Tell whether a prompt got through; validation may take the node a moment."""
        deadline = time.monotonic() + _TURNS_UP_S
        while True:
            try:
                if self._comfyui.find_prompt(prompt_id) is not PromptPlace.UNKNOWN:
                    return True
            except NodeError:
                pass
            if time.monotonic() > deadline:
                return False
            time.sleep(_NOTE_EVERY_S)

    def _wait(self, job: Job, lease: Lease, watch: Watch, look: Look, slot: Slot) -> HistoryEntry:
        while True:
            look.ended |= watch.wait(_NOTE_EVERY_S, or_progress=not look.has_begun)
            lease.check()
            self._departure.check_render()
            if look.ran_for_s > job.run_within_s:
                raise RunDeadlinePassed(job.run_within_s)
            try:
                if not look.has_begun:
                    self._await_turn(job, lease, watch, look, slot)
                entry = self._look(watch, look)
            except (NodeUnreachable, NodeTimeout):
                # An hour's render is not given up for a moment's silence.
                if look.is_away_too_long():
                    raise
            else:
                look.answered()
                if entry:
                    return entry
            self._note(lease, watch.progress, look, slot)

    def _await_turn(self, job: Job, lease: Lease, watch: Watch, look: Look, slot: Slot) -> None:
        """See whether the card is the prompt's by now, or had better be another node's."""
        if watch.last_heard:
            slot.begins()
        if slot.turn_at is None:
            if self._misplaced(job, look) and self._comfyui.withdraw(watch.prompt_id):
                raise HandedBack(self._node, "another node can begin at once")
            return
        look.begin()
        if look.said_ahead:
            self._say_rendering(lease)

    def _say_rendering(self, lease: Lease) -> None:
        try:
            if self._store.note(lease.hold, phase=Phase.RENDERING):
                lease.cancel.set()
        except FleetUnreachable as exc:
            _log.warning("job %s: not written as rendering: %s", lease.hold.job_id, exc)

    def _look(self, watch: Watch, look: Look) -> HistoryEntry | None:
        """Ask the node itself, when the socket says so or it is time to."""
        if look.ended or look.is_due("history", _POLL_EVERY_S):
            entry = self._entry(watch.prompt_id, patience_s=_ENTRY_LAGS_S if look.ended else 0)
            if entry:
                return entry
            look.ended = False
            self._check_executes(watch.prompt_id)
        # A new connection may mean a new ComfyUI, which knows nothing of our prompt.
        reconnected = self._events.connected and look.is_new_connection(self._events.client_id)
        if reconnected or look.is_due("queue", min(_FIND_EVERY_S, self._stall_s / 2)):
            self._check_alive(watch, look)
        return None

    def _entry(self, prompt_id: str, *, patience_s: float) -> HistoryEntry | None:
        """Return the prompt's history entry; after the socket's word it may be late."""
        deadline = time.monotonic() + patience_s
        while True:
            entry = self._comfyui.history(prompt_id)
            if entry or time.monotonic() > deadline:
                return entry
            time.sleep(0.02)

    def _check_known(self, prompt_id: str) -> PromptPlace:
        place = self._comfyui.find_prompt(prompt_id)
        if place is PromptPlace.UNKNOWN:
            raise PromptLost(self._node, f"prompt {prompt_id} is gone; did ComfyUI restart?")
        return place

    def _check_executes(self, prompt_id: str) -> None:
        """Give up at once if the node's companion says that it executes nothing any more."""
        try:
            self._comfyui.companion.check_executes()
        except PromptStalled:
            # The prompt may have ended before the executing thread did.
            if self._comfyui.find_prompt(prompt_id) is not PromptPlace.FINISHED:
                raise

    def _check_alive(self, watch: Watch, look: Look) -> None:
        """Make sure that the node still has the prompt and gets on with it."""
        place = self._check_known(watch.prompt_id)
        if place is PromptPlace.QUEUED:
            # Behind others' prompts it waits as long as it takes; they are never interrupted.
            if look.is_still_idle(is_idle=not self._comfyui.is_busy()):
                raise PromptStalled(self._node, "it takes prompts, but executes none")
            return
        silent_s = time.monotonic() - (watch.last_heard or look.began)
        # What was posted under another connection's id is never heard: judge it less quickly.
        patience_s = self._stall_s if look.hears(self._events) else 3 * self._stall_s
        if silent_s > patience_s:
            raise PromptStalled(self._node, f"no progress for {silent_s:.0f} s")

    def _enter(self, phase: Phase, lease: Lease) -> None:
        lease.check()
        if self._patience.until_recorded(lambda: self._store.note(lease.hold, phase=phase), lease):
            raise JobCancelled

    def _note(self, lease: Lease, progress: Progress, look: Look, slot: Slot) -> None:
        if not look.is_new_progress(progress):
            return
        slot.comes_to((progress.percent or 0) / 100)
        try:
            if self._store.note(lease.hold, progress=progress):
                lease.cancel.set()
        except FleetUnreachable as exc:
            # Progress is worth nothing against the render; the lease decides about that.
            _log.warning("job %s: progress not written: %s", lease.hold.job_id, exc)

    def _was_overtaken(self, job: Job) -> bool:
        try:
            now = self._store.get(job.id)
        except FleetError:
            return False
        return now.done or now.attempt != job.attempt

    def _cancel(self, prompt_id: str) -> None:
        """Leave no prompt behind that nobody waits for."""
        try:
            self._comfyui.cancel(prompt_id)
        except NodeError as exc:
            _log.warning("node %s: prompt %s not cancelled: %s", self._node, prompt_id, exc)


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


def _complete(entry: HistoryEntry, graph: Graph, *, node: str) -> HistoryEntry:
    """Return the entry if every graph node that saves under a prefix lists a file."""
    saved = {output.graph_node for output in entry.outputs}
    for graph_node, found in graph.items():
        if "filename_prefix" in found["inputs"] and graph_node not in saved:
            raise PromptIncomplete(node, graph_node)
    return entry
