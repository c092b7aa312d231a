"""Methods for artifacts; `producer.http_client.HttpProducer` inherits them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import requests

from producer.contract.arguments import checked
from producer.contract.errors import InvalidJob, ObjectConflict, ObjectMissing, StorageError
from producer.contract.jobs import Artifact, Job
from producer.over_http.answers import in_form
from producer.over_http.connection import Connection

_SHORTEST_URL: Final = timedelta(seconds=1)
_LONGEST_URL: Final = timedelta(days=7)
#: The job in an artifact's key.
_JOB_OF_KEY: Final = re.compile(r"(?:^|/)jobs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")


class HttpArtifactMethods:
    """The methods of `HttpProducer` for artifacts."""

    _connection: Connection

    def url(self, artifact: Artifact, *, expires: timedelta = timedelta(hours=1)) -> str:
        """Return a presigned URL, by which anybody can fetch the artifact until it *expires*.

        Raises:
            InvalidJob: *expires* is below a second or above 7 days.
            JobNotFound, ObjectMissing: the job that made it is gone, or does not list it any more.
        """
        stored = checked(artifact, Artifact, field="artifact")
        if not _SHORTEST_URL <= checked(expires, timedelta, field="expires") <= _LONGEST_URL:
            raise InvalidJob(
                f"a URL is valid for 1 s to 7 days, not for {expires}", field="expires"
            )
        seconds = int(expires.total_seconds())
        path = f"{self._artifact_path(stored)}?expires_s={seconds}"
        answer = self._connection("GET", path, may_redirect=True)
        return in_form(answer, _link, answer.headers.get("Location"))

    def fetch(self, artifact: Artifact, path: Path) -> None:
        """Copy an artifact into a file, and check its SHA-256; if that fails, no file is left there.

        Raises:
            StorageError: it cannot be fetched, or its SHA-256 differs from the record's.
        """
        url = self.url(artifact)
        with _all_or_nothing(Path(path)) as file:
            try:
                found = _copied(self._connection.fetched(url), file, most=artifact.bytes)
            except requests.RequestException as exc:
                raise StorageError(f"{artifact.key} cannot be fetched from the store") from exc
            if found != artifact.sha256:
                raise ObjectConflict(
                    f"{artifact.key} was to have SHA-256 {artifact.sha256}, but has {found}"
                )

    def _artifact_path(self, artifact: Artifact) -> str:
        found = _JOB_OF_KEY.search(artifact.key)
        if found is None:
            raise InvalidJob(f"{artifact.key!r} is no key of a job's artifact", field="artifact")
        base = f"/v1/jobs/{found[1]}"
        job = self._connection.read(Job.model_validate, "GET", base)
        keys = [listed.key for listed in job.artifacts]
        if artifact.key not in keys:
            raise ObjectMissing(f"job {found[1]} does not list {artifact.key}")
        return f"{base}/artifacts/{keys.index(artifact.key)}"


@contextmanager
def _all_or_nothing(path: Path) -> Iterator[IO[bytes]]:
    with path.open("wb") as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _link(told: Any) -> str:
    """Return an address that may be handed on to a browser; raises ValueError for another."""
    parts = urlsplit(str(told))
    if parts.scheme not in {"http", "https"} or not parts.hostname or not str(told).isprintable():
        raise ValueError("no address of a store")
    return str(told)


def _copied(chunks: Iterable[bytes], file: IO[bytes], *, most: int) -> str:
    """Write what comes, one piece beyond *most* bytes at the longest, and return its SHA-256."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        if size > most:
            break
    return digest.hexdigest()
