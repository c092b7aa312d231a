"""Named inputs: gets the files that strangers name by a form, each only where its owner may have it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from producer.contract.classes.files import FileInput
from producer.contract.config.settings import Settings
from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.errors import AddressRefused, HostFault, InvalidInput, ObjectMissing
from producer.contract.graph.json_values import printable
from producer.contract.ids import JobId, parse_job_id
from producer.contract.jobs import Artifact, InputFile, Job, JobStatus
from producer.intake.input_forms import ArtifactInput, UploadInput, UrlInput
from producer.outbound.outbound import Outbound
from producer.storage.object_keys import input_key
from producer.storage.object_store import ObjectStore
from producer.store.job_store import JobStore
from producer.store.uploads import Uploads

if TYPE_CHECKING:
    from redis import Redis

#: Characters of a file's name.
_LONGEST_NAME: Final = 200
#: What a file surely is not, by the type of the job's artifact.
_OTHER_TYPES: Final = {
    "image": ("audio/", "text/", "application/json", "model/"),
    "mask": ("audio/", "text/", "application/json", "model/"),
    "audio": ("image/", "text/", "application/json", "model/"),
    "video": ("audio/", "text/", "application/json", "model/"),
}


class NamedInputs:
    """Finds what a form names. Another owner's things are answered as if they were not there."""

    def __init__(
        self, settings: Settings, redis: Redis, *, jobs: JobStore, objects: ObjectStore
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._objects = objects
        self._uploads = Uploads(redis)

    @contextmanager
    def fetched(
        self, form: UrlInput, file: FileInput, where: str, turn: AbstractContextManager[float]
    ) -> Iterator[tuple[Path, str]]:
        """Fetch a file from its address; give its path, which is gone afterwards, and its name.

        Args:
            turn: lasts while it is fetched, and gives the seconds that it may take.

        Raises:
            InvalidInput: the address is not one that may be asked, or has no file within the bounds.
        """
        with tempfile.TemporaryDirectory(prefix="comfyfleet-") as folder:
            path = Path(folder) / "input"
            try:
                with path.open("wb") as into, turn as within_s:
                    found = self._outbound.fetch(
                        form.url,
                        into,
                        most_bytes=self._settings.max_input_bytes,
                        within_s=within_s,
                    )
            except (AddressRefused, HostFault) as exc:
                raise _refused(file, where, exc.message, advice=exc.advice) from exc
            last = unquote(found.path.partition("?")[0].rpartition("/")[2])
            yield path, last[-_LONGEST_NAME:]

    def uploaded(self, form: UploadInput, file: FileInput, where: str, *, owner: str) -> InputFile:
        """Return an upload of the owner's; raises InvalidInput if there is none."""
        upload = self._uploads.find(form.id, owner=owner)
        key = input_key(self._settings.s3_prefix, sha256=form.id)
        if upload is None or not self._is_there(key):
            raise _refused(
                file, where, f"there is no upload {form.id[:12]}…", advice="upload the file again"
            )
        return InputFile(source=key, name=upload.name, sha256=form.id, bytes=upload.bytes)

    def made(self, form: ArtifactInput, file: FileInput, where: str, *, owner: str) -> InputFile:
        """Return what a job of the owner's made; raises InvalidInput if it made no such file."""
        job = self._job(form.job, owner=owner)
        if job is None:
            raise _refused(file, where, f"there is no job {printable(form.job)}")
        if job.status is not JobStatus.SUCCEEDED:
            raise _refused(file, where, f"job {job.id} is {job.status}, and has made no file")
        artifact = _artifact_of(job, form)
        if artifact is None or not self._is_there(artifact.key):
            some = [f"{found.graph_node}.{found.index}" for found in job.artifacts[:5]]
            raise _refused(
                file, where, f"job {job.id} has no such file; it has {', '.join(some) or 'none'}"
            )
        if artifact.media_type.startswith(_OTHER_TYPES.get(file.input, ("\0",))):
            raise _refused(file, where, f"{printable(artifact.name)} is {artifact.media_type}")
        if artifact.bytes > (limit := self._settings.max_input_bytes):
            raise _refused(file, where, f"it has {artifact.bytes:,} bytes; the limit is {limit:,}")
        return InputFile(
            source=artifact.key,
            name=artifact.name,
            sha256=artifact.sha256,
            bytes=artifact.bytes,
        )

    @cached_property
    def _outbound(self) -> Outbound:
        return Outbound(TrustedHosts.parse(self._settings.trusted_hosts))

    def _job(self, text: str, *, owner: str) -> Job | None:
        try:
            job_id = parse_job_id(text)
        except ValueError:
            return None
        job = self._jobs.find([job_id]).get(JobId(job_id))
        return job if job is not None and job.owner == owner else None

    def _is_there(self, key: str) -> bool:
        try:
            self._objects.stat(key)
        except ObjectMissing:
            return False
        return True


def _artifact_of(job: Job, form: ArtifactInput) -> Artifact | None:
    if form.graph_node is None and len(job.artifacts) == 1 and form.index == 0:
        return job.artifacts[0]
    wanted = (form.graph_node, form.index)
    found = (one for one in job.artifacts if (one.graph_node, one.index) == wanted)
    return next(found, None)


def _refused(file: FileInput, where: str, why: str, *, advice: str | None = None) -> InvalidInput:
    return InvalidInput(
        f"the file for graph node {printable(file.graph_node)} cannot be had: {why}",
        field=where,
        graph_node=file.graph_node,
        advice=advice,
    )
