"""Delivery of a succeeded prompt's outputs: fetch, check, store beside the manifest, commit the job.

Between the last byte of the last file and the commit lies one answer of the bucket: the manifest is sent
beside that file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from producer.contract.classes.links import ancestors
from producer.contract.classes.save_names import attempt_mark
from producer.contract.classes.shapes import shape_of
from producer.contract.crashpoints import crashpoint
from producer.contract.graph.graph import Graph
from producer.contract.jobs import Artifact, Job, Phase, Progress
from producer.contract.manifests import manifest_of
from producer.contract.notes import fit_notes
from producer.storage.object_keys import artifact_key, extension_of, manifest_key
from producer.storage.object_store import ObjectStore
from producer.store.attempt_endings import Commit
from producer.store.job_store import JobStore
from worker.attempt.completeness import notes_on
from worker.attempt.kept_outputs import KeptOutputs
from worker.attempt.lease import JobCancelled, Lease
from worker.attempt.outages import Outages
from worker.attempt.output_files import OutputFetch, Spooled
from worker.attempt.parallel import Countdown, Work, run_parallel
from worker.attempt.shared_contents import SharedContents
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry, OutputFile
from worker.media.embedded_prompts import EmbeddedPrompt
from worker.node.registration import NodeFacts

_log = logging.getLogger(__name__)

#: Files of one job on their way at once: a batch of pictures waits for a distant bucket once, not once each.
_AT_ONCE: Final = 4


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Brings what one node made to where it is kept.

    Args:
        prefix: goes before every key in the bucket.
        handed_in: returns a job's graph as it was handed in, its params set; it is embedded in what the node made.
        node_facts: returns what the node says that it is.
        grows_within_s: within so long another chunk of 256 KiB of a file must have come.
        away_s: how long a node may be away that holds outputs; by default by what they cost.
        is_watched: returns whether somebody reads the events.
        on_copies: called once a job is committed of which copies are to be made.
    """

    node: str
    prefix: str
    comfyui: ComfyUI
    objects: ObjectStore
    store: JobStore
    outages: Outages
    contents: SharedContents
    handed_in: Callable[[Job], Graph]
    node_facts: Callable[[], NodeFacts] = NodeFacts
    grows_within_s: float = 60.0
    away_s: float | None = None
    is_watched: Callable[[], bool] = lambda: True
    on_copies: Callable[[], None] = lambda: None

    def deliver(
        self, job: Job, graph: Graph, entry: HistoryEntry, lease: Lease, spool: Path
    ) -> None:
        """Store everything that a prompt made, then make the job succeeded: the commit is last.

        Args:
            spool: a folder where files lie between node and S3.

        Raises:
            NodeError, StorageError: a file cannot be had whole, or its key holds another.
            LeaseLost, JobCancelled, Stopping: as they say; nothing was committed.
        """
        outputs = _Outputs(self, job, graph, entry, lease)
        outputs.enter_phase(Phase.FETCHING)
        outputs.store_all(spool)
        outputs.commit()
        self.comfyui.companion.delete_outputs(entry.outputs)  # never before: nothing else has them


class _Outputs:
    """What one prompt made, on its way: its files, the manifest that lists them, and the commit."""

    def __init__(
        self, means: Delivery, job: Job, graph: Graph, entry: HistoryEntry, lease: Lease
    ) -> None:
        self._means = means
        self._job = job
        self._graph = graph
        self._entry = entry
        self._lease = lease
        self._notes = fit_notes(notes_on(entry, graph))
        self._shape = job.shape or shape_of(graph)
        self._to_fetch = Countdown(len(entry.outputs))
        self._found: dict[int, Artifact] = {}
        self._recorded = job  #: As its record was when it entered its last phase: only that knows the others' times.
        self._entered_at = time.monotonic()
        self._fetch = OutputFetch(
            comfyui=means.comfyui,
            outages=means.outages,
            kept=KeptOutputs(
                means.comfyui,
                entry,
                node=means.node,
                mark=attempt_mark(job.id, job.attempt),
                within_s=means.away_s,
            ),
            lease=lease,
            node=means.node,
            prompt=EmbeddedPrompt(graph, partial(means.handed_in, job)),
            grows_within_s=means.grows_within_s,
        )

    @property
    def artifacts(self) -> list[Artifact]:
        """Those that have been fetched, in the order of the outputs."""
        return [artifact for _, artifact in sorted(self._found.items())]

    def enter_phase(self, phase: Phase) -> None:
        """Note the phase."""
        self._recorded = self._means.outages.enter_phase(phase, self._lease, self._means.store)
        self._entered_at = time.monotonic()

    def _begin_to_store(self) -> None:
        """Enter the phase. While nobody watches, the commit notes it, or the next beat if that comes before."""
        if self._means.is_watched() or self._job.phase in (Phase.FETCHING, Phase.STORING):
            self.enter_phase(Phase.STORING)  # what was taken back has entered it before, maybe
            return
        self._lease.check()
        fetched_in = timedelta(milliseconds=round(1000 * (time.monotonic() - self._entered_at)))
        self._lease.fetched_in = fetched_in
        timings = {"fetching": fetched_in.total_seconds(), "storing": 0.0}
        self._recorded = self._recorded.model_copy(
            update={
                "phase": Phase.STORING,
                "timings": self._recorded.timings.model_copy(update=timings),
            }
        )

    def store_all(self, spool: Path) -> None:
        """Store all files, the manifest, and what jobs share."""
        works: list[Work[None]] = [
            partial(self._bring, number, output, spool / str(number))
            for number, output in enumerate(self._entry.outputs)
        ]
        if not works:
            works.append(self._store_manifest)
        at_once = _AT_ONCE
        if self._means.contents.has_new(self._job):
            works.insert(0, lambda _: self._means.contents.store(self._job, self._lease))
            at_once += 1
        run_parallel(works, at_once=at_once)

    def commit(self) -> None:
        """Make the job succeeded."""
        self._lease.check()
        outcome = self._means.outages.until_redis_answers(
            lambda: self._means.store.commit(
                self._lease.hold,
                artifacts=self.artifacts,
                values=self._entry.values,
                notes=self._notes,
                shape=None if self._job.shape else self._shape,
                fetched_in=self._lease.fetched_in,
                device=self._means.node_facts().device,
                graph_nodes=len(self._graph),
            ),
            self._lease,
        )
        if outcome is Commit.CANCEL_CAME_FIRST:
            raise JobCancelled
        crashpoint("commit.done")
        if self._job.deliver:
            self._means.on_copies()
        _log.info(
            "job %s attempt %d: succeeded, %d artifacts",
            *(self._job.id, self._job.attempt, len(self._found)),
        )

    def _bring(
        self, number: int, output: OutputFile, path: Path, still_wanted: Callable[[], None]
    ) -> None:
        file = self._fetch.spooled(output, path, still_wanted)
        artifact = self._found[number] = self._artifact(file)
        store_file: Work[None] = partial(self._store_file, file, artifact)
        if self._to_fetch.is_last():
            # From here on the node is needed no more, and all is known that the manifest tells.
            self._begin_to_store()
            run_parallel([store_file, self._store_manifest], at_once=2)
        else:
            store_file(still_wanted)

    def _artifact(self, file: Spooled) -> Artifact:
        """Return what the record will say of a file, all of which is known before it is stored."""
        job, output, facts = self._job, file.output, file.facts
        key = artifact_key(
            self._means.prefix,
            job_id=job.id,
            attempt=job.attempt,
            graph_node=output.graph_node,
            index=output.index,
            extension=extension_of(output.filename),
        )
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

    def _store_file(
        self, file: Spooled, artifact: Artifact, _still_wanted: Callable[[], None]
    ) -> None:
        graph_node = artifact.graph_node
        said = {"job": self._job.id, "graph-node": graph_node, **_seed(self._graph, graph_node)}
        self._means.outages.until_storage_answers(
            lambda: self._means.objects.put_file(
                file.path,
                key=artifact.key,
                sha256=artifact.sha256,
                media_type=artifact.media_type,
                metadata=self._job.metadata,
                said=said,
                download_name=artifact.name,
            ),
            self._lease,
        )
        crashpoint("artifact.stored")
        file.path.unlink()

    def _store_manifest(self, still_wanted: Callable[[], None]) -> None:
        """Write the manifest, beside the last file: what it says of that is known already.

        An attempt that ends in between leaves a manifest that lists a file which is not there. It is
        an orphan like any file of an attempt without a commit; see `producer.contract.manifests`.
        """
        job, facts = self._job, self._means.node_facts()
        key = manifest_key(self._means.prefix, job_id=job.id, attempt=job.attempt)
        manifest = manifest_of(
            self._recorded.model_copy(
                update={"shape": self._shape, "progress": Progress.complete(len(self._graph))}
            ),
            artifacts=self.artifacts,
            values=self._entry.values,
            notes=self._notes,
            device=facts.device,
            comfyui_version=facts.comfyui_version,
        )

        def put() -> None:
            still_wanted()
            self._means.objects.put_json(key, manifest)

        self._means.outages.until_storage_answers(put, self._lease)
        crashpoint("manifest.stored")


def _seed(graph: Graph, graph_node: str) -> dict[str, str]:
    """Return the seed that an output comes from, if its ancestors have just one."""
    seeds = {
        value
        for ancestor in ancestors(graph, [graph_node])
        for name in ("seed", "noise_seed")
        if isinstance(value := graph[ancestor]["inputs"].get(name), int)
    }
    return {"seed": str(seeds.pop())} if len(seeds) == 1 else {}
