"""Delivery of a succeeded prompt's outputs: fetch, check, store, write the manifest, commit the job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from producer.contract.classes.links import ancestors
from producer.contract.classes.save_names import attempt_mark
from producer.contract.classes.shapes import shape_of
from producer.contract.crashpoints import crashpoint
from producer.contract.graph.graph import Graph
from producer.contract.jobs import Artifact, Job, Phase
from producer.contract.manifests import manifest_of
from producer.contract.notes import fit_notes
from producer.storage.object_keys import artifact_key, extension_of, manifest_key
from producer.storage.object_store import ObjectStore
from producer.store.attempt_endings import Commit
from producer.store.job_store import JobStore
from worker.attempt.bounded_call import bounded_call
from worker.attempt.completeness import notes_on
from worker.attempt.kept_outputs import KeptOutputs
from worker.attempt.lease import JobCancelled, Lease
from worker.attempt.outages import Outages
from worker.attempt.output_files import Spooled, fetch_output
from worker.attempt.parallel import Countdown, Work, run_parallel
from worker.attempt.shared_contents import SharedContents
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry, OutputFile
from worker.errors import NodeTimeout
from worker.node.registration import NodeFacts

_log = logging.getLogger(__name__)

#: Files of one job on their way at once: while one is stored, another is fetched and checked.
_AT_ONCE: Final = 2


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Brings what one node made to where it is kept.

    Args:
        prefix: goes before every key in the bucket.
        node_facts: returns what the node says that it is.
        grows_within_s: within so long another chunk of 256 KiB of a file must have come.
        away_s: how long a node may be away that holds outputs; by default by what they cost.
    """

    node: str
    prefix: str
    comfyui: ComfyUI
    objects: ObjectStore
    store: JobStore
    outages: Outages
    contents: SharedContents
    node_facts: Callable[[], NodeFacts] = NodeFacts
    grows_within_s: float = 60.0
    away_s: float | None = None

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
        self.outages.enter_phase(Phase.FETCHING, lease, self.store)
        to_fetch = Countdown(len(entry.outputs))
        kept = KeptOutputs(
            self.comfyui,
            entry,
            node=self.node,
            mark=attempt_mark(job.id, job.attempt),
            within_s=self.away_s,
        )

        def bring(output: OutputFile, path: Path, still_wanted: Callable[[], None]) -> Artifact:
            file = self._fetched(output, kept, path, lease, still_wanted)
            if to_fetch.is_last():
                # From here on the node is needed no more.
                self.outages.enter_phase(Phase.STORING, lease, self.store)
            return self._stored(job, graph, file, lease)

        works: list[Work[Artifact | None]] = [
            partial(bring, output, spool / str(number))
            for number, output in enumerate(entry.outputs)
        ]
        if self.contents.has_new(job):
            works.insert(0, lambda _: self.contents.store(job, lease))
        artifacts = [made for made in run_parallel(works, at_once=_AT_ONCE) if made]
        self._commit(job, graph, artifacts, entry, lease)
        self.comfyui.companion.delete_outputs(entry.outputs)  # never before: nothing else has them

    def _fetched(
        self,
        output: OutputFile,
        kept: KeptOutputs,
        path: Path,
        lease: Lease,
        still_wanted: Callable[[], None],
    ) -> Spooled:
        def check() -> None:
            lease.check()
            still_wanted()

        def fetch() -> Spooled:
            path.unlink(missing_ok=True)
            growth = _Growth(path, output, node=self.node, within_s=self.grows_within_s)

            def check_growth() -> None:
                check()
                growth.check()

            return bounded_call(
                lambda: fetch_output(self.comfyui, output, path, node=self.node, check=check),
                check=check_growth,
            )

        def pause(seconds: float) -> None:
            self.outages.pause(seconds, lease)
            still_wanted()

        spooled = self.outages.until_fetched(
            fetch, lease, is_back=lambda error: kept.wait_until_back(error, output, pause=pause)
        )
        crashpoint("output.fetched")
        return spooled

    def _stored(self, job: Job, graph: Graph, file: Spooled, lease: Lease) -> Artifact:
        output, facts = file.output, file.facts
        key = artifact_key(
            self.prefix,
            job_id=job.id,
            attempt=job.attempt,
            graph_node=output.graph_node,
            index=output.index,
            extension=extension_of(output.filename),
        )
        said = {
            "job": job.id,
            "graph-node": output.graph_node,
            **_seed(graph, output.graph_node),
        }
        self.outages.until_storage_answers(
            lambda: self.objects.put_file(
                file.path,
                key=key,
                sha256=facts.sha256,
                media_type=facts.media_type,
                metadata=job.metadata,
                said=said,
                download_name=output.filename,
            ),
            lease,
        )
        crashpoint("artifact.stored")
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
        self,
        job: Job,
        graph: Graph,
        artifacts: Sequence[Artifact],
        entry: HistoryEntry,
        lease: Lease,
    ) -> None:
        key = manifest_key(self.prefix, job_id=job.id, attempt=job.attempt)
        notes = fit_notes(notes_on(entry, graph))
        facts, shape = self.node_facts(), job.shape or shape_of(graph)
        manifest = manifest_of(
            self._as_recorded(job, lease).model_copy(update={"shape": shape}),
            artifacts=artifacts,
            values=entry.values,
            notes=notes,
            device=facts.device,
            comfyui_version=facts.comfyui_version,
        )
        self.outages.until_storage_answers(lambda: self.objects.put_json(key, manifest), lease)
        crashpoint("manifest.stored")
        lease.check()
        outcome = self.outages.until_redis_answers(
            lambda: self.store.commit(
                lease.hold,
                artifacts=artifacts,
                values=entry.values,
                notes=notes,
                shape=None if job.shape else shape,
            ),
            lease,
        )
        if outcome is Commit.CANCEL_CAME_FIRST:
            raise JobCancelled
        crashpoint("commit.done")
        _log.info("job %s attempt %d: succeeded, %d artifacts", job.id, job.attempt, len(artifacts))

    def _as_recorded(self, job: Job, lease: Lease) -> Job:
        """Read the job again: only its record knows when its phases began."""
        found = self.outages.until_redis_answers(lambda: self.store.find([job.id]), lease)
        return found.get(job.id, job)


class _Growth:
    """Whether a file that is fetched comes in at all: less than a chunk is as good as nothing."""

    def __init__(self, path: Path, output: OutputFile, *, node: str, within_s: float) -> None:
        self._within_s = within_s
        self._path = path
        self._output = output
        self._node = node
        self._bytes = 0
        self._since = time.monotonic()

    def check(self) -> None:
        """Return if more of it has come within the last minute."""
        size = self._path.stat().st_size if self._path.exists() else 0
        now = time.monotonic()
        if size > self._bytes:
            self._bytes, self._since = size, now
        elif now - self._since > self._within_s:
            raise NodeTimeout(
                self._node, f"{self._output} came to less than 256 KiB in {self._within_s:g} s"
            )


def _seed(graph: Graph, graph_node: str) -> dict[str, str]:
    """Return the seed that an output comes from, if its ancestors have just one."""
    seeds = {
        value
        for ancestor in ancestors(graph, [graph_node])
        for name in ("seed", "noise_seed")
        if isinstance(value := graph[ancestor]["inputs"].get(name), int)
    }
    return {"seed": str(seeds.pop())} if len(seeds) == 1 else {}
