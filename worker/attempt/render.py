"""Has the node render one prompt: from the graph to its history entry."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.shapes import shape_of
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError, FleetUnreachable, LeaseLost
from producer.contract.graph.graph import Graph
from producer.contract.jobs import Job, Phase, Progress
from producer.store.job_store import JobStore
from worker.attempt.completeness import check_complete, check_succeeded
from worker.attempt.extra_data import ExtraDataSource, marks_of
from worker.attempt.fleet_rates import FleetRates
from worker.attempt.hand_back import HandBack
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.attempt.prompt import NodePrompt
from worker.attempt.render_state import RenderState
from worker.attempt.shutdown import Shutdown, Stopping
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.continuations import is_unfinished, joined
from worker.comfyui.events import EventSocket
from worker.comfyui.history import HistoryEntry
from worker.comfyui.prompt_watch import PromptWatch
from worker.errors import HandedBack, NodeTimeout, NodeUnreachable, PromptStalled
from worker.scheduling.gate import Slot
from worker.scheduling.render_times import RenderKind

_log = logging.getLogger(__name__)

#: How often a running prompt's progress is written to its record, s.
_NOTE_EVERY_S: Final = 0.5
#: The same while nobody reads the events, s.
_UNWATCHED_S: Final = 5.0
#: How often /history is polled although the socket says nothing: silence proves nothing, s.
_POLL_EVERY_S: Final = 2.0
#: How often /queue is polled, which answers with whole graphs, s.
_FIND_EVERY_S: Final = 10.0
#: How long the history entry may lag behind the socket's message, s; measured: 355 ms, once.
_ENTRY_LAGS_S: Final = 5.0


@dataclass(frozen=True)
class _Run:
    """One attempt's prompt and what belongs to it."""

    job: Job
    prompt: NodePrompt
    lease: Lease
    slot: Slot
    watch: PromptWatch


class Render:
    """Has one node render prompts; holds no state of its own.

    Args:
        stall: silence of a running prompt that means it is stuck.
        away: how long the node may not answer while it has the prompt; None: as usual.
        is_watched: whether somebody reads the events.
    """

    def __init__(
        self,
        comfyui: ComfyUI,
        events: EventSocket,
        store: JobStore,
        *,
        node: str,
        stall: timedelta,
        shutdown: Shutdown,
        outages: Outages,
        hand_back: HandBack,
        fleet_rates: FleetRates,
        extra_data: ExtraDataSource | None = None,
        away: timedelta | None = None,
        is_watched: Callable[[], bool] = lambda: True,
    ) -> None:
        self._comfyui = comfyui
        self._events = events
        self._store = store
        self._node = node
        self._stall_s = stall.total_seconds()
        self._away_s = None if away is None else away.total_seconds()
        self._shutdown = shutdown
        self._outages = outages
        self._hand_back = hand_back
        self._fleet_rates = fleet_rates
        self._is_watched = is_watched
        self._extra_data = extra_data or ExtraDataSource(store)

    def run(
        self, job: Job, graph: Graph, lease: Lease, slot: Slot, *, catalog: Catalog | None = None
    ) -> HistoryEntry:
        """Queue the job's prompt and wait for its success.

        Args:
            catalog: of the node; without one less is known of what should have been listed.
            slot: released as soon as the graphics card is free for the next job.

        Raises:
            PromptRejected, PromptFailed, PromptInterrupted, PromptLost, PromptStalled: as named.
            RunDeadlinePassed (of the lease), NodeLeaves: the prompt was cancelled at the node.
            HandedBack: it had not begun, and another node can begin at once.
            LeaseLost, JobCancelled: likewise.
            Stopping: the worker leaves; the prompt was left alone.
        """
        return self._watched(job, graph, lease, slot, catalog, ran_before_s=None)

    def resume(
        self, job: Job, graph: Graph, lease: Lease, slot: Slot, *, catalog: Catalog | None = None
    ) -> HistoryEntry:
        """Wait for a prompt that a predecessor may have queued; errors as of `run`.

        A prompt that the node does not know is lost, even if it was never posted: nobody can
        tell, and a second render needs a new attempt.
        """
        ran_for = self._outages.until_redis_answers(lambda: self._store.running_for(job.id), lease)
        ran_s = ran_for.total_seconds()
        lease.deadline.add_earlier_run(ran_s)
        return self._watched(job, graph, lease, slot, catalog, ran_before_s=ran_s)

    def _watched(
        self,
        job: Job,
        graph: Graph,
        lease: Lease,
        slot: Slot,
        catalog: Catalog | None,
        *,
        ran_before_s: float | None,
    ) -> HistoryEntry:
        marks = marks_of(job)
        prompt = NodePrompt(self._comfyui, str(job.prompt_id), node=self._node, marks=marks)
        with self._events.watch(prompt.id, graph_nodes=graph) as watch:
            run = _Run(job, prompt, lease, slot, watch)
            try:
                state = self._posted(run, graph) if ran_before_s is None else self._reattached(run)
                kind = RenderKind(job.shape or shape_of(graph), job.template)
                self._fleet_rates.learn(kind.shape)
                slot.on_posted(kind, on_change=watch.wake)
                entry = self._wait(run, state)
                while is_unfinished(entry) and prompt.switch_to_continuation():
                    entry = joined(entry, self._wait_for_continuation(run, state, graph))
                slot.release(rendered=ran_before_s is None)
            except (Stopping, HandedBack):
                raise
            except LeaseLost:
                # A successor on this very node waits for this very prompt; any other does not.
                if self._was_overtaken(job):
                    prompt.cancel()
                raise
            except Exception:
                prompt.cancel()
                raise
        check_succeeded(entry, node=self._node)
        check_complete(entry, graph, listed=watch.listed, catalog=catalog, node=self._node)
        return entry

    def _wait_for_continuation(self, run: _Run, state: RenderState, graph: Graph) -> HistoryEntry:
        """Wait for the prompt that continues the work of an earlier one."""
        state.on_continued()
        with self._events.watch(run.prompt.id, graph_nodes=graph) as watch:
            return self._wait(replace(run, watch=watch), state)

    def _posted(self, run: _Run, graph: Graph) -> RenderState:
        phase = Phase.RENDERING if run.slot.is_next else Phase.AHEAD
        self._outages.enter_phase(phase, run.lease, self._store)
        client_id = self._events.client_id
        extra_data = self._outages.until_redis_answers(
            lambda: self._extra_data.of(run.job), run.lease
        )
        run.prompt.post(graph, client_id=client_id, extra_data=extra_data)
        crashpoint("prompt.posted")
        run.lease.check()  # the post may have taken longer than anybody waited for it
        if phase is Phase.AHEAD:
            run.lease.deadline.on_queued()
        return RenderState(
            client_id=client_id, recorded_ahead=phase is Phase.AHEAD, away_s=self._away_s
        )

    def _reattached(self, run: _Run) -> RenderState:
        is_rendered = run.job.phase in (Phase.FETCHING, Phase.STORING)
        state = RenderState(client_id=None, is_rendered=is_rendered, away_s=self._away_s)
        place = self._locate(run, state)
        state.ended = place is PromptPlace.FINISHED
        state.recorded_ahead = place is PromptPlace.QUEUED and run.job.phase is Phase.AHEAD
        phase = Phase.AHEAD if state.recorded_ahead else Phase.RENDERING
        if state.recorded_ahead:
            run.lease.deadline.on_queued()
        self._outages.enter_phase(phase, run.lease, self._store)
        return state

    def _locate(self, run: _Run, state: RenderState) -> PromptPlace:
        """Return where the node has the prompt; a moment's silence is no answer."""
        while True:
            try:
                return run.prompt.place()
            except (NodeUnreachable, NodeTimeout):
                state.on_no_answer()
                if state.is_away_too_long:
                    raise
            run.watch.wait(_NOTE_EVERY_S)
            run.lease.check()
            self._shutdown.check_render()

    def _wait(self, run: _Run, state: RenderState) -> HistoryEntry:
        while True:
            state.ended |= run.watch.wait(_NOTE_EVERY_S, or_progress=not state.has_begun)
            run.lease.check()
            self._shutdown.check_render()
            try:
                if not state.has_begun:
                    self._check_turn(run, state)
                entry = self._poll(run, state)
            except (NodeUnreachable, NodeTimeout):
                # An hour's render is not given up for a moment's silence.
                state.on_no_answer()
                if state.is_away_too_long:
                    raise
            else:
                if entry:
                    return entry
            self._note_progress(run, state)

    def _check_turn(self, run: _Run, state: RenderState) -> None:
        """Check whether the card is the prompt's by now, or another node should have the job."""
        if run.watch.last_heard:
            run.slot.on_executing()
        if run.slot.turn_at is None:
            if self._hand_back.is_better_elsewhere(run.job, state) and run.prompt.withdraw():
                raise HandedBack(self._node, "another node can begin at once")
            return
        state.on_turn()
        run.lease.deadline.on_turn()
        if state.recorded_ahead:
            self._note(run.lease, phase=Phase.RENDERING)

    def _poll(self, run: _Run, state: RenderState) -> HistoryEntry | None:
        """Poll the node itself, when the socket hints at the end or a poll is due."""
        if state.ended or state.start_if_due("history", _POLL_EVERY_S):
            entry = run.prompt.entry(timeout_s=_ENTRY_LAGS_S if state.ended else 0)
            state.on_answer()
            if entry:
                return entry
            state.ended = False
            run.prompt.check_executes()
        # A new connection may mean a new ComfyUI, which knows nothing of our prompt.
        reconnected = self._events.connected and state.note_connection(self._events.client_id)
        if reconnected or state.start_if_due("queue", min(_FIND_EVERY_S, self._stall_s / 2)):
            self._check_alive(run, state)
        return None

    def _check_alive(self, run: _Run, state: RenderState) -> None:
        """Check that the node still has the prompt and makes progress."""
        place = run.prompt.place()
        state.on_answer()
        if place is PromptPlace.QUEUED:
            state.on_queued()
            # Behind others' prompts it waits as long as it takes; they are never interrupted.
            if state.note_idle(is_idle=not self._comfyui.is_busy()):
                raise PromptStalled(self._node, "it takes prompts, but executes none")
            return
        silent_s = time.monotonic() - max(run.watch.last_heard or state.began, state.queued_until)
        # What was posted under another connection's id is never heard, however well it renders.
        limit_s = 0.0 if state.is_subscribed(self._events) else run.job.run_within_s / 2
        if silent_s > max(self._stall_s, limit_s):
            raise PromptStalled(self._node, f"no progress for {silent_s:.0f} s")

    def _note_progress(self, run: _Run, state: RenderState) -> None:
        progress = run.watch.progress
        if state.note_progress(progress):
            run.slot.on_progress((progress.percent or 0) / 100)
        if state.must_write(progress, every_s=0 if self._is_watched() else _UNWATCHED_S):
            self._note(run.lease, progress=progress)

    def _note(
        self, lease: Lease, *, phase: Phase | None = None, progress: Progress | None = None
    ) -> None:
        try:
            if self._store.note(lease.hold, phase=phase, progress=progress):
                lease.cancel.set()
        except FleetUnreachable as exc:
            # A note is worth nothing against the render; the lease decides about that.
            _log.warning("job %s: not written: %s", lease.hold.job_id, exc)

    def _was_overtaken(self, job: Job) -> bool:
        try:
            now = self._store.get(job.id)
        except FleetError:
            return False
        return now.done or now.attempt != job.attempt
