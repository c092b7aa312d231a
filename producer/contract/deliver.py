"""Deliver: where copies of what a job makes are put, in which form; and what has come of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import find_flaw, printable, shown
from producer.contract.key_templates import KeyTemplate, read_template
from producer.contract.near_names import near_names

#: What each part may be, for who gave something else.
_EXPECTED: Final = {
    "to": "text of the form s3://BUCKET/KEY",
    "metadata": "keep or strip",
    "format": "webp, jpeg or png",
    "quality": "a whole number from 1 to 100",
    "thumbnail": "a whole number of pixels from 16 to 4,096",
}
_ALLOWED: Final = {"metadata": ["keep", "strip"], "format": ["webp", "jpeg", "png"]}
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


def read_deliver(given: Mapping[str, Any] | Deliver | None) -> Deliver | None:
    """Return what a request says of copies.

    Raises:
        InvalidJob: a part is unknown, or of another type or range than expected; the field is `deliver.<part>`.
    """
    if given is None or isinstance(given, Deliver):
        return _checked(given) if given else None
    if not isinstance(given, Mapping):
        raise InvalidJob(
            f"deliver must be a mapping, not {type(given).__name__}",
            field="deliver",
            advice='write {"to": "s3://BUCKET/{job}-{n}{ext}"}',
        )
    for name in given:
        if name not in _EXPECTED:
            raise _unknown(name)
    if "to" not in given:
        raise InvalidJob(
            "deliver lacks `to`: where copies are put",
            field="deliver.to",
            advice='write {"to": "s3://BUCKET/{job}-{n}{ext}"}',
        )
    try:
        return _checked(Deliver.model_validate(dict(given)))
    except ValidationError as exc:
        raise _misfit(str(exc.errors()[0]["loc"][0]), given) from None


def template_of(deliver: Deliver, *, owner: str, has_batch: bool) -> KeyTemplate:
    """Return the template of copies, checked for the jobs of an owner; errors as of `read_template`."""
    return read_template(deliver.to, owner=owner, has_batch=has_batch)


def _checked(deliver: Deliver) -> Deliver:
    if deliver.quality is not None and deliver.format not in ("webp", "jpeg"):
        found = f"format is {deliver.format}" if deliver.format else "no format is given"
        raise InvalidJob(
            f"deliver.quality is for webp and jpeg, and {found}",
            field="deliver.quality",
            advice="leave it out, or give one of these formats",
        )
    return deliver


def _unknown(name: object) -> InvalidJob:
    text = name if isinstance(name, str) else repr(name)
    near = near_names(text, _EXPECTED)
    hint = f"; did you mean {near[0]}?" if near else f"; expected {', '.join(_EXPECTED)}"
    return InvalidJob(
        f"deliver has no part {printable(text)}{hint}",
        field=f"deliver.{printable(text)}",
        allowed=list(_EXPECTED),
    )


def _misfit(name: str, given: Mapping[str, Any]) -> InvalidJob:
    value = given[name]
    found = type(value).__name__ if find_flaw(value) else shown(value)
    return InvalidJob(
        f"deliver.{name} must be {_EXPECTED[name]}, not {found}",
        field=f"deliver.{name}",
        allowed=_ALLOWED.get(name),
    )
