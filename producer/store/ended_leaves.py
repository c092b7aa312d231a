"""The record of an ended row as paths and leaves, so that those of many rows can be put in columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from producer.contract.json_texts import read_json
from producer.contract.text_cleaning import abridged

#: Where a value stands in a record: a field's name, then names and indexes in its JSON.
Path = tuple[str | int, ...]
#: A text, a number, a truth value or None; an empty list or object.
Leaves = dict[Path, Any]

#: What nobody asks for once a job has ended, and what a bucket says elsewhere.
_LEFT_OUT: Final = frozenset(
    {"claim", "worker", "shun", "deaths", "last_call", "taken_ms", "left", "suspect"}
    | {"batch", "status", "retried_as"}
)
_JSON: Final = frozenset({"spec", "result", "error", "progress", "deliver", "copies"})
_TIMES: Final = (
    *("created_ms", "start_by_ms", "queued_ms", "started_ms", "at:preparing", "at:ahead"),
    *("at:rendering", "at:fetching", "at:storing", "ended_ms"),
)
#: The paths of times.
TIMES: Final[tuple[Path, ...]] = tuple((name,) for name in _TIMES)
#: These follow from the row before; the others from the time before in the same row.
_BY_ROW: Final = frozenset({"created_ms", "queued_ms"})

#: Characters of an error's message, and of values as JSON; the manifest has the values.
_LONGEST_MESSAGE: Final = 300
_ELLIPSIS: Final = 3  #: What was shortened before stays as it is.
_LONGEST_VALUES: Final = 2_000


def leaves_of(record: Mapping[str, str]) -> Leaves:
    """Return what stays of a record, its times as they are."""
    leaves: Leaves = {}
    for name, text in record.items():
        if name not in _LEFT_OUT:
            leaves.update(_leaves((name,), _shortened(name, _value(name, text))))
    return leaves


def record_of(leaves: Leaves) -> dict[str, str]:
    """Return the fields of a record, JSON where they had it."""
    record = {}
    for name, value in _tree(leaves).items():
        is_text = isinstance(value, str)
        record[str(name)] = value if is_text else json.dumps(value, separators=(",", ":"))
    return record


def pack_times(rows: list[Leaves]) -> None:
    """Replace times by the milliseconds since the time before, in place."""
    _follow(rows, lambda time, before: (int(time) - before, int(time)), kind=str)


def unpack_times(rows: list[Leaves]) -> None:
    """Undo `pack_times`, in place."""
    _follow(rows, lambda time, before: (str(time + before), time + before), kind=int)


def _follow(rows: list[Leaves], step: Any, *, kind: type) -> None:
    above = dict.fromkeys(_BY_ROW, 0)
    for leaves in rows:
        before = 0
        for name in _TIMES:
            time = leaves.get((name,))
            if not isinstance(time, kind) or (kind is str and not _is_time(time)):
                continue
            written, absolute = step(time, above[name] if name in _BY_ROW else before)
            leaves[(name,)] = written
            before = absolute
            if name in _BY_ROW:
                above[name] = absolute


def _is_time(text: Any) -> bool:
    return bool(text.isascii() and text.isdecimal() and str(int(text)) == text)


def _value(name: str, text: str) -> Any:
    if name in _JSON or name.startswith("attempt:"):
        try:
            value = read_json(text)
        except ValueError:
            return text
        if isinstance(value, dict) or (name == "copies" and isinstance(value, list)):
            return value
    return text


def _shortened(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if name == "error":
        return _with_message(value)
    if name.startswith("attempt:") and isinstance(value.get("error"), dict):
        return {**value, "error": _with_message(value["error"])}
    if name == "result" and len(text := json.dumps(value.get("values"))) > _LONGEST_VALUES:
        said = f"values of {len(text):,} characters are in the job's manifest only"
        return {**value, "values": {}, "notes": [*value.get("notes", ()), said]}
    return value


def _with_message(error: dict[str, Any]) -> dict[str, Any]:
    message = error.get("message")
    if not isinstance(message, str) or len(message) <= _LONGEST_MESSAGE + _ELLIPSIS:
        return error
    return {**error, "message": abridged(message, most=_LONGEST_MESSAGE)}


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves((*path, name), inner)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves((*path, index), inner)
    else:
        yield path, value


def _tree(leaves: Leaves) -> dict[str | int, Any]:
    tree: dict[str | int, Any] = {}
    for path, leaf in leaves.items():
        inner = tree
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = leaf
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    """Make lists of what has indexes for names."""
    if not isinstance(value, dict) or not value:
        return value
    inner = {name: _lists(found) for name, found in value.items()}
    if isinstance(next(iter(inner)), int):
        return [inner[index] for index in sorted(inner)]
    return inner
