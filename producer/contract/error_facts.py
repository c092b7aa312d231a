"""Facts of errors: what an error carries beside message and advice, written into an answer and read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from producer.contract import errors
from producer.contract.errors import FleetError

E = TypeVar("E", bound=FleetError)

#: Attributes by the class that brings them; subclasses have them, too. Not `allowed` and `rows`, which a problem
#: lists, and not what is a duration or a job.
_FACTS: Final[Mapping[type[FleetError], tuple[str, ...]]] = {
    errors.InvalidJob: ("field", "graph_node"),
    errors.InvalidRows: ("count", "accepted"),
    errors.InvalidBatch: ("batch",),
    errors.InvalidQuery: ("position",),
    errors.ScopeMissing: ("scope",),
    errors.BacklogFull: ("waiting", "limit"),
    errors.OwnerBacklogFull: ("owner",),
    errors.JobNotFound: ("job_id",),
    errors.UnreadableRecord: ("job_id",),
    errors.BatchNotFound: ("batch",),
    errors.ActionNotFound: ("action",),
    errors.WebhookNotFound: ("field",),
    errors.TemplateNotFound: ("field",),
    errors.TemplateChanged: ("etag",),
    errors.KeyReused: ("key", "job_id"),
}


def facts_of(error: FleetError) -> dict[str, Any]:
    """Return what an error carries, by the names of its attributes; what is None is left out."""
    found = {name: getattr(error, name, None) for name in _names(type(error))}
    return {name: value for name, value in found.items() if value is not None}


def error_with(
    kind: type[E], message: str, *, advice: str | None = None, facts: Mapping[str, Any]
) -> E:
    """Return an error as it was raised elsewhere: its message is complete, and not made from its facts anew."""
    error = kind.__new__(kind)
    FleetError.__init__(error, message, advice=advice)
    for name in _names(kind):
        setattr(error, name, facts.get(name))
    return error


def kind_named(name: object) -> type[FleetError] | None:
    """Return the class of an error by its name; None if there is none, as of a newer version."""
    found = getattr(errors, name, None) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, FleetError) else None


def _names(kind: type[FleetError]) -> list[str]:
    return [name for cls in kind.__mro__ for name in _FACTS.get(cls, ())]
