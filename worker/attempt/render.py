"""Has the node render one prompt: from the graph to its history entry."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.shapes import shape_of
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError, LeaseLost
from producer.contract.graph.graph import Graph
from producer.contract.jobs import Job, Phase
from producer.store.job_store import JobStore
from producer.store.previews import Previews
from worker.attempt.completeness import check_complete, check_succeeded
from worker.attempt.extra_data import ExtraDataSource, marks_of
from worker.attempt.fleet_rates import FleetRates
from worker.attempt.hand_back import HandBack
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.attempt.prompt import NodePrompt
from worker.attempt.prompt_wait import PromptWait, Run
from worker.attempt.render_state import RenderState
from worker.attempt.shutdown import Shutdown, Stopping
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.continuations import is_unfinished, joined, may_continue
from worker.comfyui.events import EventSocket
from worker.comfyui.history import HistoryEntry
from worker.errors import HandedBack, NodeTimeout, NodeUnreachable
from worker.scheduling.gate import Slot
from worker.scheduling.node_times import kinds_of
from worker.scheduling.render_times import RenderKind

_log = logging.getLogger(__name__)

#: How often a node that does not answer is asked where a prompt is, s.
_LOCATE_EVERY_S: Final = 0.5


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
        previews: Previews,
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
        self._away_s = None if away is None else away.total_seconds()
        self._shutdown = shutdown
        self._outages = outages
        self._fleet_rates = fleet_rates
        self._prompt_wait = PromptWait(
            comfyui,
            events,
            store,
            previews,
            node=node,
            stall=stall,
            shutdown=shutdown,
            hand_back=hand_back,
            is_watched=is_watched,
        )
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
            run = Run(job, prompt, lease, slot, watch)
            try:
                state = (
                    self._posted(run, graph, catalog)
                    if ran_before_s is None
                    else self._reattached(run)
                )
                kind = RenderKind(job.shape or shape_of(graph), job.template, kinds_of(graph))
                self._fleet_rates.learn(kind.shape)
                self._weigh(run, state, kind, ran_before_s=ran_before_s)
                slot.on_posted(kind, on_change=watch.wake, may_continue=may_continue(graph))
                entry = self._prompt_wait.until_ended(run, state)
                while is_unfinished(entry) and prompt.switch_to_continuation():
                    entry = joined(entry, self._wait_for_continuation(run, state, graph))
                slot.release(rendered=ran_before_s is None)
                self._fleet_rates.on_rendered(kind, graph, watch.seconds)
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

    def _weigh(
        self, run: Run, state: RenderState, kind: RenderKind, *, ran_before_s: float | None
    ) -> None:
        """Tell the watch how long each graph node is expected to take, and how far the render is already."""
        weights = self._fleet_rates.weights(kind)
        if ran_before_s is None:
            run.watch.weigh(weights)
            return
        shown = run.job.progress.share if run.job.progress else None
        runs_unheard = state.has_begun or not state.recorded_ahead
        run.watch.weigh(
            weights, at_least=shown or 0.0, ran_s=ran_before_s if runs_unheard else None
        )

    def _wait_for_continuation(self, run: Run, state: RenderState, graph: Graph) -> HistoryEntry:
        """Wait for the prompt that continues the work of an earlier one."""
        state.on_continued()
        with self._events.watch(run.prompt.id, graph_nodes=graph) as watch:
            if run.slot.kind:
                shown = run.watch.progress.share or 0.0
                watch.weigh(self._fleet_rates.weights(run.slot.kind), at_least=shown)
            return self._prompt_wait.until_ended(replace(run, watch=watch), state)

    def _posted(self, run: Run, graph: Graph, catalog: Catalog | None) -> RenderState:
        phase = Phase.RENDERING if run.slot.is_next else Phase.AHEAD
        if catalog is not None:
            models = catalog.models_of(graph)
            self._comfyui.companion.on_posted(models, is_ahead=phase is Phase.AHEAD)
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

    def _reattached(self, run: Run) -> RenderState:
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

    def _locate(self, run: Run, state: RenderState) -> PromptPlace:
        """Return where the node has the prompt; a moment's silence is no answer."""
        while True:
            try:
                return run.prompt.place()
            except (NodeUnreachable, NodeTimeout):
                state.on_no_answer()
                if state.is_away_too_long:
                    raise
            run.watch.wait(_LOCATE_EVERY_S)
            run.lease.check()
            self._shutdown.check_render()

    def _was_overtaken(self, job: Job) -> bool:
        try:
            now = self._store.get(job.id)
        except FleetError:
            return False
        return now.done or now.attempt != job.attempt
