"""Makes the copies of one artifact: fetched once, changed as was asked for, put where they belong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from producer.contract.config.deliver_buckets import DeliverBuckets
from producer.contract.copies import MEDIA_TYPES, PICTURES, copy_key
from producer.contract.deliver import DEFAULT_QUALITY, Copy, CopyState, Deliver
from producer.contract.errors import (
    FleetError,
    InvalidJob,
    ObjectMissing,
    StorageError,
    StorageRefused,
)
from producer.contract.jobs import Artifact, Job
from producer.contract.key_templates import THUMBNAIL_SUFFIX
from producer.contract.text_cleaning import abridged, writable
from producer.storage.copies import CopyStore
from producer.storage.object_keys import is_own
from worker.copies.ladder import MOST_TRIES, wait_after
from worker.errors import CopyFailed
from worker.media.conversion import Conversion, Converted, convert
from worker.media.formats.walker import Damaged
from worker.media.stripping import strip

_LONGEST_ERROR: Final = 300
_THUMBNAIL_QUALITY: Final = 80
#: How long a bucket that is away, or closed, is left alone: what else is due must not wait behind it.
_LEFT_ALONE_S: Final = 15.0


@dataclass(frozen=True)
class _Made:
    """A file that is to be put: what it is, and in what it differs from what was asked for."""

    path: Path
    media_type: str
    note: str | None = None
    is_converted: bool = False


@dataclass(frozen=True, kw_only=True)
class Copying:
    """Makes copies.

    Args:
        bucket, prefix: the fleet's own, where no copy may replace what it keeps.
        buckets: into which the operator lets this worker put copies.
        convert: converts a picture, in a process of its own.
        troubles: until when a bucket is left alone, by the monotonic clock.
    """

    objects: CopyStore
    bucket: str
    prefix: str
    buckets: DeliverBuckets
    convert: Callable[[Conversion], Converted] = convert
    troubles: dict[str, float] = field(default_factory=dict)

    def troubled_s(self, bucket: str) -> float:
        """Return for how many seconds a bucket is left alone, which failed a moment ago; 0 if it is not."""
        return max(0.0, self.troubles.get(bucket, 0.0) - time.monotonic())

    def make(self, job: Job, waiting: Sequence[Copy], folder: Path) -> list[Copy]:
        """Return what has come of the copies of one artifact, all of which wait; a thumbnail comes after its picture.

        Args:
            folder: for files; it is empty.
        """
        source = folder / "artifact"
        try:
            self._fetch(job.artifacts[waiting[0].n], source)
        except FleetError as exc:
            return [failed(copy, exc) for copy in waiting]
        done = {copy.n: copy.key for copy in job.copies if copy.state is CopyState.DONE}
        found = []
        for copy in waiting:
            beside = done.get(copy.n, copy.key.removesuffix(THUMBNAIL_SUFFIX))
            found.append(self._one(job, copy, source, beside=beside))
            if found[-1].state is CopyState.DONE:
                done[copy.n] = found[-1].key
        return found

    def _one(self, job: Job, copy: Copy, source: Path, *, beside: str) -> Copy:
        deliver, artifact = _asked(job), job.artifacts[copy.n]
        target = source.with_name("thumbnail" if copy.is_thumbnail else "copy")
        try:
            if copy.is_thumbnail:
                made = self._thumbnail(deliver, source, target)
                key = f"{beside}{THUMBNAIL_SUFFIX}"
            else:
                made = self._form(deliver, artifact, source, target)
                key = _key(job, deliver, artifact, copy.n, made.media_type)
            self._check_place(copy.bucket, key, owner=job.owner)
            self._put(made, copy.bucket, key, metadata=_said(job, deliver, artifact))
        except FleetError as exc:
            return failed(copy, exc)
        except OSError as exc:
            return failed(copy, CopyFailed(f"its worker's disk: {exc.strerror}", is_final=False))
        return copy.model_copy(
            update={
                "state": CopyState.DONE,
                "key": key,
                "tries": copy.tries + 1,
                "error": None,
                "note": made.note,
                "media_type": made.media_type,
                "bytes": made.path.stat().st_size,
            }
        )

    def _put(self, made: _Made, bucket: str, key: str, *, metadata: dict[str, str]) -> None:
        try:
            self.objects.put_copy(
                made.path,
                bucket=bucket,
                key=key,
                media_type=made.media_type,
                metadata=metadata,
            )
        except StorageRefused:
            raise
        except StorageError:
            self.troubles[bucket] = time.monotonic() + _LEFT_ALONE_S
            raise
        self.troubles.pop(bucket, None)

    def _fetch(self, artifact: Artifact, path: Path) -> None:
        try:
            self.objects.fetch(artifact.key, path, sha256=artifact.sha256)
        except ObjectMissing as exc:
            raise CopyFailed(f"its artifact is not there any more: {exc.message}") from exc
        except OSError as exc:
            raise CopyFailed(f"its worker's disk: {exc.strerror}", is_final=False) from exc

    def _check_place(self, bucket: str, key: str, *, owner: str) -> None:
        try:
            self.buckets.check(bucket, key, owner=owner)
        except InvalidJob as exc:  # another worker may have other settings
            raise CopyFailed(f"this worker may not: {exc}", is_final=False) from exc
        if bucket == self.bucket and is_own(self.prefix, key):
            raise CopyFailed("its key is one of the fleet's own")

    def _form(self, deliver: Deliver, artifact: Artifact, source: Path, target: Path) -> _Made:
        """Return the file in the form that was asked for, or as near to it as it can be."""
        is_picture = artifact.media_type in PICTURES
        wanted = MEDIA_TYPES.get(deliver.format or "", artifact.media_type)
        note = None
        if is_picture and wanted != artifact.media_type:
            done = self._converted(
                Conversion(
                    source=str(source),
                    target=str(target),
                    format=deliver.format or "",
                    quality=deliver.quality or DEFAULT_QUALITY,
                    keeps_metadata=deliver.metadata == "keep",
                )
            )
            if not done.is_animated:
                return _Made(target, wanted, done.note or None, is_converted=True)
            note = "it is animated, so it was not converted"
        elif deliver.format and not is_picture:
            note = f"{artifact.media_type} is not converted"
        if deliver.metadata == "strip":
            return self._stripped(artifact, source, target, note)
        return _Made(source, artifact.media_type, note)

    def _stripped(self, artifact: Artifact, source: Path, target: Path, note: str | None) -> _Made:
        try:
            is_stripped = strip(source, target, media_type=artifact.media_type)
        except Damaged as exc:
            raise CopyFailed(f"its metadata cannot be taken out: {exc}") from exc
        if is_stripped:
            return _Made(target, artifact.media_type, note)
        kept = f"metadata of {artifact.media_type} is not taken out: it was copied as it is"
        return _Made(source, artifact.media_type, f"{note}; {kept}" if note else kept)

    def _thumbnail(self, deliver: Deliver, source: Path, target: Path) -> _Made:
        self._converted(
            Conversion(
                source=str(source),
                target=str(target),
                format="webp",
                quality=_THUMBNAIL_QUALITY,
                longest=deliver.thumbnail,
            )
        )
        return _Made(target, MEDIA_TYPES["webp"], is_converted=True)

    def _converted(self, job: Conversion) -> Converted:
        done = self.convert(job)
        if done.error:
            raise CopyFailed(done.error, is_final=not done.lacks_pillow)
        return done


def _asked(job: Job) -> Deliver:
    if job.deliver is None:
        raise ValueError(f"job {job.id} asks for no copies")
    return job.deliver


def _key(job: Job, deliver: Deliver, artifact: Artifact, n: int, media_type: str) -> str:
    """Return the key of a copy: its extension is that of what was made."""
    of_job = {"job": job.id, "owner": job.owner, "batch": job.batch or "", "row": job.row}
    has_format = media_type == MEDIA_TYPES.get(deliver.format or "")
    return copy_key(deliver, artifact, n, of_job, is_converted=has_format)


def _said(job: Job, deliver: Deliver, artifact: Artifact) -> dict[str, str]:
    """Return the metadata of a copy's object."""
    if deliver.metadata == "strip":
        return {}
    return {"job": job.id, "graph-node": artifact.graph_node, **job.metadata}


def failed(copy: Copy, error: FleetError) -> Copy:
    """Return a copy after a try that failed: it waits for the next one, or is given up."""
    tries = copy.tries + 1
    is_final = isinstance(error, CopyFailed) and error.is_final
    why = abridged(writable(str(error)), most=_LONGEST_ERROR)
    if not is_final and wait_after(tries) is None:
        why, is_final = f"given up after {MOST_TRIES} tries: {why}", True
    return copy.model_copy(
        update={
            "state": CopyState.FAILED if is_final else CopyState.WAITING,
            "tries": tries,
            "error": why,
        }
    )
