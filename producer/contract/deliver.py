"""Deliver: where copies of what a job makes are put, in which form; and what has come of each."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

#: What a picture is saved with where nobody says; the sizes of pictures hardly fall below it.
DEFAULT_QUALITY: Final = 90


class Deliver(BaseModel):
    """Copies of what a job makes, beside its artifacts, which stay where they are.

    Args:
        to: `s3://BUCKET/KEY` with placeholders; see `key_templates`.
        metadata: whether what is written into a picture beside its pixels, as the graph, stays in the copy.
        format: which pictures are converted into; by default they stay what they are.
        quality: of WEBP and JPEG, 1 to 100; 90 by default.
        thumbnail: pixels of the longer side of a small picture that is put beside each copy of a picture.
    """

    # A newer version may have written more into a record.
    model_config = ConfigDict(frozen=True, extra="ignore")

    to: str = Field(strict=True, max_length=2_000)
    metadata: Literal["keep", "strip"] = "keep"
    format: Literal["webp", "jpeg", "png"] | None = None
    quality: int | None = Field(None, strict=True, ge=1, le=100)
    thumbnail: int | None = Field(None, strict=True, ge=16, le=4_096)

    def written(self) -> str:
        """Return it as records keep it."""
        return self.model_dump_json(exclude_defaults=True)


class CopyState(StrEnum):
    """The state of one copy. Redis stores the value; never rename one."""

    WAITING = "waiting"  #: It is still to be made, or is tried again.
    DONE = "done"
    FAILED = "failed"  #: It is not tried again; `error` says why.

    @property
    def is_final(self) -> bool:
        """Whether nothing more is done."""
        return self is not CopyState.WAITING


class Copy(BaseModel):
    """One copy of an artifact, or its thumbnail."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    n: int  #: Of which artifact, by its place in `artifacts`, from 0.
    is_thumbnail: bool = False  #: Of the artifact; else the copy itself.
    bucket: str
    key: str  #: Until it is done, the key that is expected.
    state: CopyState = CopyState.WAITING
    tries: int = 0  #: Since the commit, the one that succeeded included.
    error: str | None = None  #: Of the last try that failed.
    note: str | None = None  #: Of one that is done: in what it differs from what was asked for.
    media_type: str | None = None
    bytes: int | None = None
