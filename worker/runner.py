"""One attempt at a job, from claim to commit."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from producer.contract.catalog import Catalog
from producer.contract.errors import FleetError, LeaseLost
from producer.contract.files import with_file_prefixes
from producer.contract.graphs import Graph, parse_graph
from producer.contract.ids import JobId, prompt_id
from producer.contract.jobs import Artifact, Job, Phase
from producer.contract.links import ancestors
from producer.contract.outputs import cut, output_graph_nodes
from producer.contract.params import set_params
from producer.dispatch import Dispatch
from producer.storage.object_keys import artifact_key, extension_of, manifest_key
from producer.storage.object_store import ObjectStore
from producer.store.job_store import Commit, Hold, JobStore
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry, OutputFile
from worker.comfyui.inputs import InputCarrier
from worker.comfyui.outputs import Spooled, fetch_output
from worker.lease import JobCancelled, Lease, LeaseKeeper
from worker.patience import until_fetched, until_stored
from worker.queue_order import Slot
from worker.render import Render, Stopping
from worker.retry import decide

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and for whom attempts run."""

    node: str
    worker: str
    spool: Path
    prefix: str
    lease: timedelta
    max_graph_bytes: int


class Runner:
    """Runs attempts. It may be called from many threads, one attempt each."""

    def __init__(
        self,
        place: Place,
        *,
        store: JobStore,
        objects: ObjectStore,
        dispatch: Dispatch,
        comfyui: ComfyUI,
        render: Render,
        leases: LeaseKeeper,
    ) -> None:
        self._place = place
        self._store = store
        self._objects = objects
        self._dispatch = dispatch
        self._comfyui = comfyui
        self._render = render
        self._leases = leases
        self._carrier = InputCarrier(objects, comfyui)
        self.catalog: Catalog | None = None

    def run(self, job_id: JobId, attempt: int, slot: Slot) -> None:
        """Claim a job and see it through; return at once if its message was stale.

        Args:
            slot: released as soon as the graphics card is free for the next job.
        """
        job = self._store.claim(
            job_id,
            attempt=attempt,
            node=self._place.node,
            worker=self._place.worker,
            lease=self._place.lease,
            prompt_id=prompt_id(job_id, attempt),
        )
        if job:
            self._see_through(job, slot, is_new=True)

    def resume(self, job_id: JobId, slot: Slot) -> None:
        """Go on with a job that this worker's predecessor held and this one has taken back."""
        self._see_through(self._store.get(job_id), slot, is_new=False)

    def _see_through(self, job: Job, slot: Slot, *, is_new: bool) -> None:
        hold = Hold(job.id, job.attempt, self._place.worker)
        _log.info("job %s attempt %d: %s", job.id, job.attempt, "claimed" if is_new else "resumed")
        with self._leases.keep(hold) as lease, self._spool(hold) as spool:
            try:
                self._render_and_store(job, lease, slot, spool, is_new=is_new)
            except Stopping:
                _log.info("job %s attempt %d: left to the next worker", job.id, job.attempt)
            except LeaseLost as exc:
                _log.warning("job %s: %s", job.id, exc)
            except JobCancelled:
                self._end_cancelled(hold)
            except FleetError as exc:
                self._settle(job, hold, exc)
            except Exception as exc:  # noqa: BLE001 - a job must end, whatever we did wrong
                _log.exception("job %s attempt %d: this is a bug", job.id, job.attempt)
                self._settle(job, hold, FleetError(f"the worker failed: {exc!r}"))

    def _render_and_store(
        self, job: Job, lease: Lease, slot: Slot, spool: Path, *, is_new: bool
    ) -> None:
        graph = self._prepared(job, spool)
        self._enter(Phase.RENDERING, lease)
        entry = self._render.run(job, graph, lease, post=is_new)
        slot.release()
        self._enter(Phase.FETCHING, lease)
        spooled = [
            self._fetched(output, spool / str(number), lease)
            for number, output in enumerate(entry.outputs)
        ]
        self._enter(Phase.STORING, lease)
        artifacts = [self._stored(job, graph, file, lease) for file in spooled]
        self._commit(job, lease, artifacts, entry)

    def _prepared(self, job: Job, spool: Path) -> Graph:
        """Return the job's graph as it goes to this node, its input files being there."""
        graph = parse_graph(self._store.graph(job.template), max_bytes=self._place.max_graph_bytes)
        files = self._carrier.bring(job.inputs, spool)
        graph = set_params(graph, {**job.params, **files})
        graph = cut(graph, output_graph_nodes(graph, self.catalog))
        # An identical graph would not be saved again, and names of deleted files come back.
        return with_file_prefixes(graph, f"comfyfleet/{job.id}-{job.attempt}")

    def _fetched(self, output: OutputFile, path: Path, lease: Lease) -> Spooled:
        return until_fetched(
            lambda: fetch_output(self._comfyui, output, path, node=self._place.node), lease
        )

    def _stored(self, job: Job, graph: Graph, file: Spooled, lease: Lease) -> Artifact:
        output, facts = file.output, file.facts
        key = artifact_key(
            self._place.prefix,
            job_id=job.id,
            attempt=job.attempt,
            graph_node=output.graph_node,
            index=output.index,
            extension=extension_of(output.filename),
        )
        metadata = {
            **job.metadata,
            "job": job.id,
            "graph-node": output.graph_node,
            **_seed(graph, output.graph_node),
        }
        until_stored(
            lambda: self._objects.put_file(
                file.path,
                key=key,
                sha256=facts.sha256,
                media_type=facts.media_type,
                metadata=metadata,
                download_name=output.filename,
            ),
            lease,
        )
        file.path.unlink()
        return Artifact(
            key=key,
            graph_node=output.graph_node,
            index=output.index,
            kind=output.kind,
            type=output.type,
            name=output.filename,
            subfolder=output.subfolder,
            media_type=facts.media_type,
            bytes=facts.bytes,
            sha256=facts.sha256,
            width=facts.width,
            height=facts.height,
        )

    def _commit(
        self, job: Job, lease: Lease, artifacts: Sequence[Artifact], entry: HistoryEntry
    ) -> None:
        key = manifest_key(self._place.prefix, job_id=job.id, attempt=job.attempt)
        manifest = _manifest(job, artifacts, entry)
        until_stored(lambda: self._objects.put_json(key, manifest), lease)
        lease.check()
        outcome = self._store.commit(lease.hold, artifacts=artifacts, values=entry.values)
        if outcome is Commit.CANCEL_CAME_FIRST:
            raise JobCancelled
        _log.info("job %s attempt %d: succeeded, %d artifacts", job.id, job.attempt, len(artifacts))
        # A history entry holds a copy of the graph; 10,001 of them fill a node's memory.
        try:
            self._comfyui.forget(str(job.prompt_id))
        except FleetError as exc:
            _log.warning("job %s: its history entry stays: %s", job.id, exc)

    def _end_cancelled(self, hold: Hold) -> None:
        try:
            self._store.end_cancelled(hold)
        except FleetError as exc:
            _log.warning("job %s: not ended as cancelled: %s", hold.job_id, exc)
        else:
            _log.info("job %s attempt %d: cancelled", hold.job_id, hold.attempt)

    def _settle(self, job: Job, hold: Hold, error: FleetError) -> None:
        """Write down how the attempt ended, and send the next one if there is one."""
        decision = decide(
            error, node=self._place.node, charged=job.charged_attempts, free=job.free_attempts
        )
        story = decision.error
        _log.warning("job %s attempt %d: %s: %s", job.id, job.attempt, story.cause, story.message)
        try:
            if not decision.again:
                self._store.fail(hold, story, charged=decision.charged, dead=decision.dead)
                return
            attempt = self._store.requeue(
                job.id,
                attempt=hold.attempt,
                worker=hold.worker,
                error=story,
                charged=decision.charged,
                delay=decision.delay,
            )
            if attempt is not None:
                self._dispatch.send(
                    job.id, attempt=attempt, queue=job.queue, priority=job.tier.priority
                )
        except FleetError as exc:
            # The lease runs out, or the message is missed; upkeep mends both.
            _log.warning("job %s: left to upkeep: %s", job.id, exc)

    def _enter(self, phase: Phase, lease: Lease) -> None:
        lease.check()
        if self._store.note(lease.hold, phase=phase):
            raise JobCancelled

    @contextmanager
    def _spool(self, hold: Hold) -> Iterator[Path]:
        folder = self._place.spool / f"{hold.job_id}-{hold.attempt}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _seed(graph: Graph, graph_node: str) -> dict[str, str]:
    """Return the seed that an output comes from, if its ancestors have just one."""
    seeds = {
        value
        for ancestor in ancestors(graph, [graph_node])
        for name in ("seed", "noise_seed")
        if isinstance(value := graph[ancestor]["inputs"].get(name), int)
    }
    return {"seed": str(seeds.pop())} if len(seeds) == 1 else {}


def _manifest(job: Job, artifacts: Sequence[Artifact], entry: HistoryEntry) -> dict[str, Any]:
    """Return what a lost record can be rebuilt from."""
    return {
        "version": 1,
        "job": job.id,
        "attempt": job.attempt,
        "node": job.node,
        "template": job.template,
        "params": job.params,
        "metadata": job.metadata,
        "created_at": job.created_at.isoformat(),
        "artifacts": [artifact.model_dump(exclude_none=True) for artifact in artifacts],
        "values": entry.values,
    }
