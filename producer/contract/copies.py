"""Copies of a job that succeeded: which there will be, by what was asked for and by what it made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from producer.contract.deliver import Copy, Deliver
from producer.contract.jobs import Artifact
from producer.contract.key_templates import THUMBNAIL_SUFFIX, key_values, parse_template

#: Types of pictures that are converted, and have thumbnails.
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/webp"})
MEDIA_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_EXTENSIONS: Final = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


def planned_copies(
    deliver: Deliver,
    artifacts: Sequence[Artifact],
    *,
    job: str,
    owner: str,
    batch: str | None,
    row: int | None,
) -> Iterator[Copy]:
    """Yield the copies of a job's artifacts, none of which has been tried."""
    of_job = {"job": job, "owner": owner, "batch": batch or "", "row": row}
    for n, artifact in enumerate(artifacts):
        is_picture = artifact.media_type in PICTURES
        key = copy_key(deliver, artifact, n, of_job, is_converted=is_picture)
        bucket = parse_template(deliver.to).bucket
        yield Copy(n=n, bucket=bucket, key=key)
        if deliver.thumbnail and is_picture:
            yield Copy(n=n, bucket=bucket, key=f"{key}{THUMBNAIL_SUFFIX}", is_thumbnail=True)


def copy_key(
    deliver: Deliver, artifact: Artifact, n: int, of_job: dict[str, Any], *, is_converted: bool
) -> str:
    """Return the key of a copy.

    Args:
        n: of the artifact, from 0.
        of_job: `job`, `owner`, `batch` and `row` of its job.
        is_converted: whether it has the format that was asked for, if any; else its own.
    """
    path = PurePosixPath(artifact.name.replace("\\", "/"))
    own = PurePosixPath(artifact.key).suffix  # cleaned, when the artifact was stored
    wanted = deliver.format if is_converted else None
    values = key_values(
        **of_job,
        n=n,
        graph_node=artifact.graph_node,
        name=path.stem,
        ext=_EXTENSIONS[wanted] if wanted else own,
    )
    return parse_template(deliver.to).key(values)
