"""What a request says of copies, read and checked; see `deliver`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from producer.contract.deliver import Deliver
from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import find_flaw, printable, shown
from producer.contract.key_template_checks import read_template
from producer.contract.key_templates import KeyTemplate
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
