"""Answers of the API: read within bounds of bytes and of time, as JSON, in the form that a caller expects.

What answers at the API's address may be another program, or one that means harm: whatever comes, a call ends with a
record or with an error of the fleet, and takes no more memory than the longest answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

import requests
from pydantic import BaseModel, ValidationError
from urllib3.exceptions import HTTPError

from producer.contract.errors import FleetUnreachable
from producer.contract.job_pages import JobPage
from producer.contract.text_cleaning import abridged, escaped
from producer.over_http.problems import error_of, place_of

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

#: Bytes of an answer that is read as a whole, unpacked, and of a line or an event of one that is read as it comes.
MOST_BYTES = 256 << 20
LONGEST_LINE = 64 << 20
#: How long an answer may take once it has begun, s; the next bytes come within the connection's own time.
_WHOLE_S: Final = 120.0
_READ: Final = 1 << 16
_PIECE: Final = 1 << 20
_MINUTE_S: Final = 60.0
_SHOWN: Final = 80
_ADVICE: Final = "is this the API's address, and is the API as new as this library?"


class EndlessAnswer(Exception):
    """Why an answer was given up: to ask again would bring another such."""


def read_whole(answer: requests.Response) -> None:
    """Read the body of an answer, so that it has its `content`.

    Raises:
        FleetUnreachable: from EndlessAnswer, if it is larger than `MOST_BYTES`, or has not come after two minutes.
        OSError, HTTPError: the connection ended before.
    """
    ends, size, parts = time.monotonic() + _WHOLE_S, 0, []
    raw: Any = answer.raw
    while part := raw.read1(_READ, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise _given_up(answer, f"with more than {MOST_BYTES:,} bytes") from EndlessAnswer()
        if time.monotonic() > ends:
            late = f"so slowly that it was not whole after {_WHOLE_S:g} s"
            raise _given_up(answer, late) from EndlessAnswer()
    answer._content = b"".join(parts)  # noqa: SLF001 - requests itself reads without a bound


def paced(answer: requests.Response) -> Iterator[bytes]:
    """Yield the body of an answer in pieces.

    Raises:
        requests.RequestException: it breaks off, or comes with less than 64 KiB a minute.
    """
    raw: Any = answer.raw
    since, size = time.monotonic(), 0
    try:
        while part := raw.read1(_PIECE, decode_content=True):
            yield part
            size += len(part)
            if time.monotonic() - since > _MINUTE_S:
                if size < _READ:
                    raise requests.ReadTimeout("it comes too slowly")
                since, size = time.monotonic(), 0
    except requests.RequestException:
        raise
    except (HTTPError, OSError) as exc:
        raise why_broken(exc) from exc
    finally:
        answer.close()


def parsed(answer: requests.Response) -> Any:
    """Return what an answer says; raises FleetUnreachable where that is no JSON."""
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        raise error_of(answer) from None


def formed(answer: requests.Response, form: Callable[[Any], T]) -> T:
    """Return what an answer says, in a form; raises FleetUnreachable as of `parsed` and `in_form`."""
    return in_form(answer, form, parsed(answer))


def in_form(answer: requests.Response, form: Callable[[Any], T], told: object) -> T:
    """Return something of an answer, in a form.

    Args:
        form: makes it of *told*; raises what it likes where that has another form.

    Raises:
        FleetUnreachable: it has.
    """
    try:
        return form(told)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        raise FleetUnreachable(
            f"{place_of(answer)} answers {answer.status_code}, and not in the form that this library knows: "
            f"{_flaw(exc)}",
            advice=_ADVICE,
        ) from exc


def each(model: type[M], member: str) -> Callable[[Any], list[M]]:
    """Return the form of a list of records, under its name in an answer."""
    return lambda told: [model.model_validate(found) for found in _list(told[member])]


def _list(told: Any) -> list[Any]:
    if not isinstance(told, list):
        raise ValueError(f"a {type(told).__name__} where a list belongs")  # noqa: TRY004 - as of a form
    return told


def job_page(told: Any) -> JobPage:
    """Return a page of jobs; raises as of `formed` where there are none, as an answer without any has an empty list."""
    return JobPage(jobs=told["jobs"], cursor=told.get("cursor"))


def lines_of(chunks: Iterable[bytes], *, only_whole: bool = False) -> Iterator[str]:
    """Yield lines as they come, without their ends; the last one may lack its end, unless *only_whole*.

    Raises:
        FleetUnreachable: one has more than `LONGEST_LINE` bytes.
    """
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        if lines:
            yield _text(b"".join([*parts, lines[0]]))
            yield from map(_text, lines[1:])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > LONGEST_LINE:
            raise FleetUnreachable(
                f"the API sends a line of more than {LONGEST_LINE:,} bytes", advice=_ADVICE
            )
    if size and not only_whole:
        yield _text(b"".join(parts))


def why_broken(error: Exception) -> requests.RequestException:
    """Return an error of a connection as requests tells it."""
    if isinstance(error, TimeoutError | HTTPError) and "timed out" in str(error):
        return requests.ReadTimeout(error)
    return requests.ConnectionError(error)


def _given_up(answer: requests.Response, how: str) -> FleetUnreachable:
    answer.close()
    return FleetUnreachable(f"{place_of(answer)} answers {how}", advice=_ADVICE)


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")


def _flaw(error: Exception) -> str:
    """Return in some words what is wrong with a form."""
    if isinstance(error, ValidationError):
        [first, *_] = error.errors(include_url=False, include_context=False, include_input=False)
        where = ".".join(map(str, first["loc"])) or "all of it"
        return abridged(escaped(f"{where}: {first['msg']}"), most=2 * _SHOWN)
    if isinstance(error, KeyError):
        return f"there is no {abridged(escaped(str(error)), most=_SHOWN)}"
    is_ours = type(error) is ValueError
    return abridged(escaped(str(error)), most=_SHOWN) if is_ours else f"a {type(error).__name__}"
