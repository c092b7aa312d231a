"""Deliver buckets: where the operator lets copies be put, and of whom. Being read and being written are different rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from producer.contract.config.s3_address import check_bucket
from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.key_templates import owner_value

_OWNER: Final = "{owner}"
_FIELD: Final = "deliver.to"


@dataclass(frozen=True)
class _Place:
    """A bucket, and how keys there must begin: with `{owner}` for each owner's own."""

    bucket: str
    begin: str

    def begin_of(self, owner: str) -> str:
        """Return how keys of an owner's copies must begin. What has no owner is the fleet's own: no folder is of none."""
        if _OWNER in self.begin and not owner:
            return self.begin[: self.begin.index(_OWNER)]
        return self.begin.replace(_OWNER, owner_value(owner) if owner else "")


@dataclass(frozen=True)
class DeliverBuckets:
    """The buckets of the setting `deliver_buckets`; without any, nothing is copied anywhere."""

    places: tuple[_Place, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `BUCKET`, `BUCKET/FOLDER` or `BUCKET/*`, separated by commas.

        Raises:
            ValueError: one is none of these; names it.
        """
        return cls(tuple(_place(part) for piece in text.split(",") if (part := piece.strip())))

    def check(self, bucket: str, key: str, *, owner: str) -> None:
        """Check that an owner's copies may be put under keys that begin with *key*.

        Raises:
            InvalidJob: the bucket is not listed, or not for such keys.
        """
        begins = [place.begin_of(owner) for place in self.places if place.bucket == bucket]
        if not begins:
            raise InvalidJob(
                f"{_FIELD} names the bucket {printable(bucket)}, which the operator does not list for copies",
                field=_FIELD,
                advice="the operator lists buckets in COMFYFLEET_DELIVER_BUCKETS, at producers and workers",
            )
        if not any(key.startswith(begin) for begin in begins):
            own = " or ".join(printable(f"s3://{bucket}/{begin}") for begin in begins)
            whose = f"owner {printable(owner)}" if owner else "a job without an owner"
            raise InvalidJob(
                f"{_FIELD} begins with s3://{bucket}/{printable(key)}; {whose} may have copies below {own} only",
                field=_FIELD,
                advice="begin the key with {owner}/" if owner else None,
            )


def _place(part: str) -> _Place:
    text = part.removeprefix("s3://")
    bucket, slash, folder = text.partition("/")
    if "*" in bucket or "{" in bucket:
        raise ValueError(f"{part[:80]!a} is no BUCKET, BUCKET/FOLDER or BUCKET/*")
    check_bucket(bucket)
    if not slash:
        return _Place(bucket, f"{_OWNER}/")
    if folder == "*":
        return _Place(bucket, "")
    folder = folder.removesuffix("/*").rstrip("/")
    parts = folder.split("/")
    odd = "*" in folder or any(part in {"", ".", ".."} for part in parts)
    if odd or set("{}") & set(folder.replace(_OWNER, "")):
        raise ValueError(f"{part[:80]!a} is no BUCKET, BUCKET/FOLDER or BUCKET/*")
    return _Place(bucket, f"{folder}/")
