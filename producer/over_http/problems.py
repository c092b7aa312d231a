"""Errors of the library, made again from the problems (RFC 9457) that the HTTP API answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote

from requests import Response

from producer.contract import errors
from producer.contract.batches import BadRow
from producer.contract.error_facts import error_with, kind_named
from producer.contract.errors import (
    FleetError,
    FleetUnreachable,
    InvalidJob,
    InvalidQuery,
    InvalidRows,
)
from producer.contract.text_cleaning import abridged, escaped

#: Problems by the last part of their type's address. Which error exactly a problem is, its member `error` says.
OF_TYPES: Final[Mapping[str, type[FleetError]]] = {
    "malformed-request": errors.InvalidJob,
    "unauthorized": errors.AccessKeyNotValid,
    "forbidden": errors.ScopeMissing,
    "not-found": errors.FleetError,
    "method-not-allowed": errors.FleetError,
    "too-slow": errors.FleetUnreachable,
    "conflict": errors.InvalidJob,
    "precondition-failed": errors.TemplateChanged,
    "too-large": errors.InvalidJob,
    "wrong-media-type": errors.InvalidJob,
    "invalid-request": errors.InvalidJob,
    "invalid-graph": errors.InvalidGraph,
    "invalid-param": errors.InvalidParam,
    "invalid-input": errors.InvalidInput,
    "invalid-rows": errors.InvalidRows,
    "no-node-can-run": errors.NoNodeCanRun,
    "idempotency-key-reuse": errors.KeyReused,
    "backlog-full": errors.BacklogFull,
    "too-many-requests": errors.TooManyRequests,
    "internal": errors.FleetError,
    "unreadable-record": errors.UnreadableRecord,
    "fleet-unreachable": errors.FleetUnreachable,
    "storage-unavailable": errors.StorageError,
    "too-many-streams": errors.FleetUnreachable,
    "busy": errors.FleetUnreachable,
}
#: Parameters of lists.
_OF_LISTS: Final = frozenset({"filter", "cursor", "limit", "before", "topics"})
_PROBLEM: Final = "application/problem+json"
_REDIRECT: Final = 300
_CLIENT_ERROR: Final = 400
#: Characters of an answer that is not the API's, and of a sentence of one that is.
_SHOWN: Final = 80
_LONGEST: Final = 4_000


def error_of(answer: Response) -> FleetError:
    """Return the error that an answer of the API is.

    What is no problem comes from something else at that address, as a proxy whose server is away: that is
    FleetUnreachable.
    """
    problem = _problem(answer)
    if problem is None:
        return _foreign(answer)
    try:
        return _error(answer, problem)
    except (ValueError, TypeError, LookupError, AttributeError):
        return _foreign(answer)  # it only looks like one


def _error(answer: Response, problem: Mapping[str, Any]) -> FleetError:
    slug = str(problem.get("type", "")).rpartition("/")[2].removesuffix(".md")
    told = problem.get("error")
    facts: Mapping[str, Any] = told if isinstance(told, dict) else {}
    kind = kind_named(facts.get("kind")) or OF_TYPES.get(slug, FleetError)
    message = _told(problem.get("detail", slug))
    # A command in the library's words, where the problem has a route.
    advice = facts.get("advice", problem.get("advice"))
    advice = None if advice is None else _told(advice)
    flaws = [flaw for flaw in problem.get("errors", ()) if isinstance(flaw, dict)]
    if kind is InvalidJob and flaws and flaws[0].get("parameter") in _OF_LISTS:
        kind = InvalidQuery
    if issubclass(kind, InvalidRows):
        return _invalid_rows(flaws, facts)
    if issubclass(kind, InvalidJob) and flaws:
        facts = {"field": _field(flaws[0]), **facts}
    error = error_with(kind, message, advice=advice, facts=facts)
    if isinstance(error, InvalidJob):
        error.allowed = flaws[0].get("allowed") if flaws else None
    if isinstance(error, errors.TooManyRequests):
        error.after = retry_after(answer) or timedelta(seconds=1)
    return error


def retry_after(answer: Response) -> timedelta | None:
    """Return how long an answer says to wait; None where it does not say."""
    text = answer.headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if text.isdecimal() and len(text) < 9 else None  # noqa: PLR2004


def place_of(answer: Response) -> str:
    """Return where an answer is from, for people: without its query, as a filter is nobody's business in a log."""
    return str(answer.url).partition("?")[0]


def _told(text: object) -> str:
    """Return a sentence as somebody else wrote it: bounded, and without what moves a terminal's cursor."""
    return escaped(abridged(str(text), most=_LONGEST), keep="\n")


def _problem(answer: Response) -> dict[str, Any] | None:
    if answer.headers.get("Content-Type", "").partition(";")[0].strip() != _PROBLEM:
        return None
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _foreign(answer: Response) -> FleetUnreachable:
    where = place_of(answer)
    if _REDIRECT <= answer.status_code < _CLIENT_ERROR:
        target = answer.headers.get("Location", "nowhere")[:_SHOWN]
        return FleetUnreachable(
            f"{where} redirects to {target!a}", advice="give the API's own address, with https"
        )
    return FleetUnreachable(
        f"{where} answers {answer.status_code}, and not as the API does: {_beginning(answer)!a}",
        advice="is this the API's address, and does it run behind its proxy?",
    )


def _beginning(answer: Response) -> str:
    # Not its `text`: to guess the encoding of a long one takes minutes.
    return answer.content[:_SHOWN].decode("utf-8", "replace")


def _invalid_rows(flaws: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> InvalidRows:
    rows = [
        BadRow(int(flaw.get("row", 0)), _column(flaw), _told(flaw["detail"]), flaw.get("advice"))
        for flaw in flaws
    ]
    return InvalidRows(rows, count=facts.get("count", len(rows)), accepted=facts.get("accepted"))


def _field(flaw: Mapping[str, Any]) -> str | None:
    if parameter := flaw.get("parameter"):
        return str(parameter)
    return ".".join(_parts(flaw)) or None


def _column(flaw: Mapping[str, Any]) -> str | None:
    return ".".join(_parts(flaw)[1:]) or None


def _parts(flaw: Mapping[str, Any]) -> list[str]:
    pointer = unquote(str(flaw.get("pointer", ""))).removeprefix("#").removeprefix("/")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/") if part]
