"""The results of batches in the bucket: I25. Once a batch is over they are there, a line a row, as the records say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.chaos.checker.history import History, Record, Violation

#: So long after the end of a batch, beyond the time for packing, its results may still be on their way, ms.
_WRITTEN_WITHIN_MS: Final = 60_000
_RESULTS: Final = re.compile(r"(?:.*/)?batches/(?P<batch>[^/]+)/results-(?P<number>\d+)\.jsonl\.gz")


def check_results(history: History) -> Iterator[Violation]:
    """Yield results that lack, or say something else than the records."""
    newest, parts = _newest(history), _parts(history)
    for batch, fields in history.redis.get("batches", {}).items():
        if "received" not in fields or "ended_ms" not in fields:
            continue
        if not _is_on_its_way(history, batch, newest.get(batch, {})):
            yield from _file(batch, fields, newest.get(batch, {}), parts.get(batch, {}))


def _newest(history: History) -> dict[str, dict[int, Record]]:
    """Return for each row of a batch the job that stands for it."""
    found: dict[str, dict[int, Record]] = {}
    for record in history.jobs.values():
        if record.row and "retried_as" not in record.fields:
            found.setdefault(record.batch, {})[record.row] = record
    return found


def _is_on_its_way(history: History, batch: str, rows: Mapping[int, Record]) -> bool:
    if batch not in history.redis.get("results", {}):
        return False
    last_ms = max((int(record.fields.get("ended_ms", 0)) for record in rows.values()), default=0)
    patience_ms = 1000 * history.leftovers.get("pack_ended_s", 0) + _WRITTEN_WITHIN_MS
    return int(history.redis.get("now_ms", 0)) < last_ms + patience_ms


def _file(
    batch: str,
    fields: Mapping[str, str],
    wanted: Mapping[int, Record],
    parts: Mapping[int, list[dict[str, Any]]],
) -> Iterator[Violation]:
    if fields.get("results_again"):
        yield Violation("I25", batch, "rows that were made again are not in its results yet")
    lines = [line for number in sorted(parts) for line in parts[number]]
    rows = [line["row"] for line in lines]
    if rows != sorted(set(rows)):
        yield Violation("I25", batch, f"its results list rows in the order {rows[:50]}")
    by_row = {line["row"]: line for line in lines}
    if missing := sorted(wanted.keys() - by_row.keys()):
        yield Violation("I25", batch, f"its results lack rows {missing[:20]}")
    if strange := sorted(by_row.keys() - wanted.keys() - _ended_with(fields, by_row)):
        yield Violation("I25", batch, f"its results have rows {strange[:20]}, which it has not")
    for row in sorted(wanted.keys() & by_row.keys()):
        told, record = _told(by_row[row]), _known(wanted[row])
        if told != record:
            yield Violation("I25", wanted[row].job, f"results say {told}, its record {record}")


def _ended_with(fields: Mapping[str, str], by_row: Mapping[int, dict[str, Any]]) -> set[int]:
    """Return the rows that ended with their batch before they had a record: none that had been fed."""
    rest, fed = fields.get("rest"), int(fields.get("fed", 0))
    return {row for row, line in by_row.items() if row > fed and line["status"] == rest}


def _parts(history: History) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """Return the lines of each batch's results by the number of their object."""
    found: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for key, stored in history.objects.items():
        if place := _RESULTS.fullmatch(key):
            found.setdefault(place["batch"], {})[int(place["number"])] = stored["lines"]
    return found


def _told(line: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = tuple(artifact["key"] for artifact in line.get("artifacts", ()))
    return line["id"], line["status"], line["attempt"], keys


def _known(record: Record) -> tuple[Any, ...]:
    keys = tuple(artifact["key"] for artifact in record.artifacts)
    return record.job, record.status, record.attempt, keys
