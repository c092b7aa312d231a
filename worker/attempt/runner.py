"""Runner of one attempt at a job, from claim to commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from producer.contract.causes import Cause
from producer.contract.classes.models import base_models
from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.classes.save_names import attempt_mark, with_save_names
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError, KeyOfAnotherType, LeaseLost, UnreadableRecord
from producer.contract.graph.graph import Graph
from producer.contract.ids import JobId, prompt_id
from producer.contract.jobs import Job, JobError
from producer.contract.params.params import set_params
from producer.store.attempts import Hold, Shunned
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.sweeps import TakenBack
from worker.attempt.bounded_call import bounded_call
from worker.attempt.deadline import Deadline
from worker.attempt.delivery import Delivery
from worker.attempt.extra_data import ExtraDataSource
from worker.attempt.failures import Failures
from worker.attempt.fleet_rates import FleetRates
from worker.attempt.input_files import InputFiles
from worker.attempt.lease import JobCancelled, Lease, LeaseKeeper
from worker.attempt.outages import Outages
from worker.attempt.render import Render
from worker.attempt.retry_placement import RetryPlacement
from worker.attempt.shutdown import Stopping
from worker.attempt.templates import Templates
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry
from worker.errors import DeliveryFailed, NodeError, WorkerDied
from worker.node.agent import NodeAgent
from worker.node.contradictions import contradicted
from worker.node.spool import Spool
from worker.scheduling.gate import Slot
from worker.scheduling.loaded_models import LoadedModels

_log = logging.getLogger(__name__)

#: How long a job that failed here is left to other nodes that are ready and can run it.
_AVOIDED_FOR: Final = timedelta(minutes=10)
#: How often delivery is tried when it fails by an error that nobody foresaw.
_DELIVERY_TRIES: Final = 3
#: How long an attempt that was cancelled, or is out of time, may take to stop its prompt, s.
_ABORT_WITHIN_S: Final = 5.0
#: Deaths of workers in one attempt after which it is given up.
_MAX_DEATHS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """In whose name jobs are claimed, and for how long a lease."""

    node: str
    worker: str
    lease: timedelta


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs attempts. It may be called from many threads, one attempt each."""

    claimant: Claimant
    spool: Spool
    store: JobStore
    nodes: NodeStore
    templates: Templates
    loaded_models: LoadedModels
    comfyui: ComfyUI
    leases: LeaseKeeper
    outages: Outages
    input_files: InputFiles
    render: Render
    delivery: Delivery
    failures: Failures
    agent: NodeAgent
    retry_placement: RetryPlacement
    extra_data: ExtraDataSource
    fleet_rates: FleetRates

    def run(self, job_id: JobId, attempt: int, slot: Slot) -> None:
        """Claim a job and run the attempt to its end; return at once if its message was stale.

        Args:
            slot: released as soon as the graphics card is free for the next job.
        """
        job = self._claim(job_id, attempt)
        if job:
            crashpoint("claim.done")
            slot.on_claimed(waited_s=_waited_s(job))
            _log.info("job %s attempt %d: claimed", job.id, job.attempt)
            self._attempt(job, slot, self._run)

    def resume(self, back: TakenBack, slot: Slot) -> None:
        """Continue an attempt that a predecessor began and this worker has taken back."""
        job = self.store.get(back.job_id)
        _log.info("job %s attempt %d: taken back", job.id, job.attempt)
        if back.deaths < _MAX_DEATHS:
            self._attempt(job, slot, self._resume)
        else:
            self._attempt(job, slot, partial(self._give_up, deaths=back.deaths))

    def _claim(self, job_id: JobId, attempt: int) -> Job | None:
        claim = partial(
            self.store.claim,
            job_id,
            attempt=attempt,
            node=self.claimant.node,
            worker=self.claimant.worker,
            lease=self.claimant.lease,
            prompt_id=prompt_id(job_id, attempt),
        )
        try:
            try:
                return claim(courtesy=_AVOIDED_FOR)
            except Shunned as exc:
                is_moved = self.retry_placement.move(job_id, attempt, failed_on=exc.nodes)
                return None if is_moved else claim()
        except UnreadableRecord as exc:
            self._end_unreadable(Hold(job_id, attempt, self.claimant.worker), exc)
        except KeyOfAnotherType as exc:
            _log.error("job %s attempt %d: not claimed: %s", job_id, attempt, exc)
        return None

    def _end_unreadable(self, hold: Hold, error: UnreadableRecord) -> None:
        """End a job that nobody can run; killed before, its lease lapses, and it is claimed anew."""
        _log.error("job %s attempt %d: %s", hold.job_id, hold.attempt, error)
        told = JobError(cause=Cause.FLEET_FAULT, message=error.message, node=self.claimant.node)
        try:
            self.store.fail(hold, told, charged=False, dead=False)
        except FleetError as exc:
            _log.warning("job %s: not written that it failed: %s", hold.job_id, exc)

    def _attempt(
        self,
        job: Job,
        slot: Slot,
        render: Callable[[Job, Lease, Slot, Path], tuple[Graph, HistoryEntry]],
    ) -> None:
        hold = Hold(job.id, job.attempt, self.claimant.worker)

        def attempt() -> None:
            with self.spool.attempt_folder(hold) as spool:
                graph, entry = render(job, lease, slot, spool)
                crashpoint("render.ended")
                entry = self._shown(job, entry, lease)
                self._deliver(job, graph, entry, lease, spool)
            self._finish(job, entry)

        with self.leases.keep(hold, Deadline(job.run_within_s)) as lease:
            try:
                # A disk, a name server or a node may block a thread for ever, but never the job.
                bounded_call(attempt, check=lease.check, abort_s=_ABORT_WITHIN_S)
            except Stopping:
                self._leave_to_successor(hold)
            except LeaseLost as exc:
                _log.warning("job %s: %s", job.id, exc)
            except JobCancelled:
                self.failures.record_cancelled(lease)
            except FleetError as exc:
                self.failures.record(job, lease, self.extra_data.without_secrets(job, exc))
            except Exception as exc:  # noqa: BLE001 - a job must end, whatever we did wrong
                _log.exception("job %s attempt %d: this is a bug", job.id, job.attempt)
                self.failures.record(job, lease, FleetError(f"the worker failed: {exc!r}"))

    def _shown(self, job: Job, entry: HistoryEntry, lease: Lease) -> HistoryEntry:
        """Return the entry with values that a record may hold."""
        if not entry.values:
            return entry
        clean = partial(self.extra_data.values_without_secrets, job, entry.values)
        return replace(entry, values=self.outages.until_redis_answers(clean, lease))

    def _deliver(
        self, job: Job, graph: Graph, entry: HistoryEntry, lease: Lease, spool: Path
    ) -> None:
        """Deliver what was rendered; a bug here never costs a second render.

        Raises:
            DeliveryFailed: it failed by an unforeseen error, as often as it was tried.
        """
        for number in range(1, _DELIVERY_TRIES + 1):
            try:
                return self.delivery.deliver(job, graph, entry, lease, spool)
            except (FleetError, JobCancelled, Stopping):
                raise
            except Exception as exc:
                _log.exception("job %s attempt %d: this is a bug", job.id, job.attempt)
                if number == _DELIVERY_TRIES:
                    raise DeliveryFailed(repr(exc)) from exc
            lease.check()
            lease.lost.wait(number)
        return None

    def _leave_to_successor(self, hold: Hold) -> None:
        """Leave the job to the next worker and record that: it does not count as a death."""
        _log.info("job %s attempt %d: left to the next worker", hold.job_id, hold.attempt)
        try:
            self.store.leave(hold)
        except FleetError as exc:
            _log.warning("job %s: not written that it was left: %s", hold.job_id, exc)

    def _run(self, job: Job, lease: Lease, slot: Slot, spool: Path) -> tuple[Graph, HistoryEntry]:
        files = self.outages.until_storage_answers(lambda: self._input_files(job, spool), lease)
        graph = self._graph(job, lease, files)
        crashpoint("inputs.brought")
        return graph, self.render.run(job, graph, lease, slot, catalog=self.agent.catalog)

    def _resume(
        self, job: Job, lease: Lease, slot: Slot, _spool: Path
    ) -> tuple[Graph, HistoryEntry]:
        # A resumed attempt posts nothing, so it needs no input files.
        graph = self._graph(job, lease, files={})
        return graph, self.render.resume(job, graph, lease, slot, catalog=self.agent.catalog)

    def _give_up(
        self, job: Job, _lease: Lease, _slot: Slot, _spool: Path, *, deaths: int
    ) -> tuple[Graph, HistoryEntry]:
        try:
            self.comfyui.cancel(str(job.prompt_id))
        except NodeError as exc:
            _log.warning("job %s: its prompt was not cancelled: %s", job.id, exc)
        raise WorkerDied(self.claimant.node, deaths)

    def _input_files(self, job: Job, spool: Path) -> dict[str, str]:
        try:
            return self.input_files.transfer(job.inputs, spool)
        except OSError as exc:
            raise self.spool.fault(exc) from exc

    def _graph(self, job: Job, lease: Lease, files: Mapping[str, str]) -> Graph:
        """Return the job's graph as it goes to this node, where its input files are."""
        graph = self.outages.until_redis_answers(lambda: self.templates.graph(job.template), lease)
        graph = set_params(graph, {**job.set_values, **files})
        graph = cut(graph, output_graph_nodes(graph, self.agent.catalog))
        self.loaded_models.on_loading(base_models(graph))
        # An identical graph would not be saved again, and names of deleted files come back.
        mark = attempt_mark(job.id, job.attempt)
        catalog = self.agent.catalog
        if catalog:
            graph = catalog.with_own_spelling(graph)
        return with_save_names(graph, mark, catalog=catalog, is_again=job.attempt > 1)

    def _finish(self, job: Job, entry: HistoryEntry) -> None:
        self.agent.on_success()
        self.fleet_rates.publish()
        for node, message in contradicted(job, by=self.claimant.node):
            try:
                self.nodes.contradict(node, job.id, message)
            except FleetError as exc:
                _log.warning("job %s: node %s was not told: %s", job.id, node, exc)
        # A history entry holds a copy of the graph; 10,001 of them fill a node's memory.
        try:
            for prompt_id in (*entry.earlier, entry.prompt_id):
                self.comfyui.delete_history(prompt_id)
        except NodeError as exc:
            _log.warning("job %s: its history entry stays: %s", job.id, exc)


def _waited_s(job: Job) -> float:
    """Return how long a job waited while it could have begun; the pause before another attempt does not count."""
    return (job.timings.queued or 0.0) if job.attempt == 1 else 0.0
