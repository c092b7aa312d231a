"""Result lines of ended rows, made of the columns of their bucket, several times as quickly as by way of their jobs.

The first row of each kind is read as every job is. Lines of rows like it are its line with what differs put in: values
that stand in it as they were packed, ids and times. Rows are alike if nothing else differs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _escape
from typing import Any, Final

from producer.contract.ids import JobId, prompt_id
from producer.contract.jobs import JobStatus, is_kept_as_it_is
from producer.contract.json_texts import read_json
from producer.contract.result_lines import Line, line_of, line_text
from producer.store.ended_buckets import ID, PROMPT
from producer.store.ended_columns import columns_of, told_as_torn, unmarked
from producer.store.ended_leaves import Path
from producer.store.ended_rows import EndedBucket
from producer.store.records import phase_seconds
from producer.store.times import utc

#: Where a line has what lies below a path of the record.
_PLACES: Final[dict[Path, Path]] = {
    ("spec", "params"): ("params",),
    ("spec", "metadata"): ("metadata",),
    ("spec", "inputs"): ("inputs",),
    ("result", "artifacts"): ("artifacts",),
    ("result", "values"): ("values",),
    ("progress",): ("progress",),
    ("copies",): ("copies",),
    ("node",): ("node",),
    ("prompt_id",): ("prompt_id",),
}
#: A line does not tell it.
_UNTOLD: Final[Path] = ("n",)
#: Texts below these are cleaned when they are read.
_CLEANED: Final = frozenset({"artifacts", "progress", "error"})
_TIMES: Final = {
    "created_ms": "created_at",
    "queued_ms": "queued_at",
    "started_ms": "started_at",
    "ended_ms": "ended_at",
    "start_by_ms": "start_deadline",
}
#: Stands in the line of a kind for what differs, numbered.
_GAP: Final = "\0{}\0"
_GAPS: Final = re.compile(r'"\\u0000([0-9]+)\\u0000"')
#: Kinds of rows in a bucket whose lines are kept: in one of many, hardly a row is like another.
_MOST_KINDS: Final = 8


@dataclass(frozen=True)
class _Slot:
    """What may differ from row to row of a kind: the leaf of each row, and where lines have it."""

    leaves: list[Any]
    place: Path


#: What fills a gap: the leaf of a slot, or a field of its line that is the row's own.
_Filling = _Slot | str


@dataclass(frozen=True)
class _Kind:
    """Rows that are alike: the text of their lines between gaps, what fills each gap, and their attempt."""

    texts: list[str]
    fillings: list[_Filling]
    attempt: int


class EndedLines:
    """The lines of a bucket's rows.

    Raises:
        TornBucket: the bucket makes no sense; also later, when a row does not.
    """

    def __init__(self, bucket: EndedBucket) -> None:
        self._bucket = bucket
        self._columns = columns_of(bucket.data)
        self._slots, self._decide = self._sorted_columns()
        self._kinds: dict[tuple[Any, ...], _Kind | None] = {}

    def of(self, statuses: Collection[JobStatus]) -> Iterator[tuple[int, str]]:
        """Yield (row, line as JSON) of the rows that ended in one of *statuses* and were not made again."""
        for number, (index, status) in enumerate(self._columns.rows):
            row = self._bucket.rows[0] + index
            if status in statuses and str(row) not in self._bucket.made_again:
                with told_as_torn():
                    line = self._line(number, row, self._bucket.id_of(index))
                yield row, line

    def _line(self, number: int, row: int, job_id: JobId) -> str:
        key = self._key(number)
        if kind := self._kinds.get(key):
            text = self._filled(kind, number, row, job_id)
            return text or line_text(self._read(number, row, job_id))
        line = self._read(number, row, job_id)
        if key not in self._kinds and len(self._kinds) < _MOST_KINDS:
            self._kinds[key] = self._kind(line, number, row, job_id)
        return line_text(line)

    def _read(self, number: int, row: int, job_id: JobId) -> Line:
        job = self._bucket.job_of(job_id, self._columns.record(number, job_id))
        return line_of(row, job)

    def _sorted_columns(self) -> tuple[list[_Slot], list[list[str]]]:
        """Return what a line has as it was packed, and what decides of which kind a row is."""
        slots, decide = [], []
        for path, leaves in self._columns.differ.items():
            if (place := _place(path)) is not None:
                slots.append(_Slot(leaves, place))
            elif path != _UNTOLD:
                # What names its own job is alike in no two rows.
                decide.append([f"{leaf!r} {_is_own(leaf) and n}" for n, leaf in enumerate(leaves)])
        for path, leaf in self._columns.same.items():
            if _is_own(leaf):
                slots.append(_Slot([leaf] * len(self._columns.rows), _place(path) or path))
        return slots, decide

    def _key(self, number: int) -> tuple[Any, ...]:
        return (
            self._columns.rows[number][1],
            *self._columns.times[number],
            *(type(slot.leaves[number]) for slot in self._slots),
            *(leaves[number] for leaves in self._decide),
        )

    def _kind(self, line: Line, number: int, row: int, job_id: JobId) -> _Kind | None:
        """Return the kind of a row; None if lines of its like cannot be made of this one's."""
        slots = [slot for slot in self._slots if slot.leaves[number] is not None]
        if any(isinstance(slot.leaves[number], list) for slot in slots):
            return None  # a list of one may stand for anything
        attempt = int(line["attempt"])
        gaps: list[_Filling] = [*self._own(line, number, row, job_id), *slots]
        with_gaps = read_json(line_text(line))
        try:
            for count, filling in enumerate(gaps):
                place = filling.place if isinstance(filling, _Slot) else (filling,)
                _at(with_gaps, place[:-1])[place[-1]] = _GAP.format(count)
            texts = _GAPS.split(line_text(with_gaps))
            kind = _Kind(texts[::2], [gaps[int(count)] for count in texts[1::2]], attempt)
            filled = self._filled(kind, number, row, job_id)
        except (KeyError, IndexError, TypeError):
            return None  # lines have it elsewhere
        is_whole = len(kind.fillings) == len(gaps) and filled == line_text(line)
        return kind if is_whole else None

    def _filled(self, kind: _Kind, number: int, row: int, job_id: JobId) -> str | None:
        """Return the line of a row of a kind; None if a text of it is told otherwise than it was packed."""
        prompt = prompt_id(job_id, kind.attempt)
        own = self._own_texts(number, row, job_id)
        parts = [kind.texts[0]]
        for filling, text in zip(kind.fillings, kind.texts[1:], strict=True):
            if isinstance(filling, str):
                parts.append(own[filling])
            else:
                leaf = unmarked(filling.leaves[number], job_id, prompt)
                is_foreign = filling.place[0] in _CLEANED and isinstance(leaf, str)
                if is_foreign and not is_kept_as_it_is(leaf):
                    return None
                parts.append(_json(leaf))
            parts.append(text)
        return "".join(parts)

    def _own_texts(self, number: int, row: int, job_id: JobId) -> dict[str, str]:
        """Return what a line says of its row alone, as JSON."""
        times = {str(name): text for (name,), text in self._columns.times[number].items()}
        own = {told: _moment(times[name]) for name, told in _TIMES.items() if name in times}
        seconds = ",".join(f'"{name}":{spent!r}' for name, spent in phase_seconds(times).items())
        return {"row": str(row), "id": f'"{job_id}"', "timings": f"{{{seconds}}}", **own}

    def _own(self, line: Line, number: int, row: int, job_id: JobId) -> list[str]:
        return [name for name in self._own_texts(number, row, job_id) if name in line]


def _place(path: Path) -> Path | None:
    for begin in (path[:2], path[:1]):
        if (place := _PLACES.get(begin)) is not None:
            return place + path[len(begin) :]
    return None


def _is_own(leaf: Any) -> bool:
    return isinstance(leaf, str) and (ID in leaf or PROMPT in leaf)


def _at(line: Line, place: Path) -> Any:
    found: Any = line
    for part in place:
        found = found[part]
    return found


def _json(leaf: Any) -> str:
    if type(leaf) is int:
        return repr(leaf)
    return _escape(leaf) if isinstance(leaf, str) else line_text(leaf)


@lru_cache(maxsize=4096)
def _moment(ms: str) -> str:
    """Return a time as JSON, as a model writes it."""
    return f'"{utc(ms).isoformat().removesuffix("+00:00")}Z"'
