"""Keeps the last figures of each benchmark, and writes what the pages say of them.

`python -m tests.bench all --readme` does both; `python -m tests.bench.readme` only the second.
The documentation has the whole table, the README five figures for those who choose.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
MEASURED = ROOT / "docs/understand/measured.md"
FIGURES = ROOT / "docs/figures.json"

BEGIN = "<!-- The table of benchmarks is written by `make bench`. -->"
END = "<!-- End of the table of benchmarks. -->"
FEW_BEGIN = "<!-- The figures of the README are written by `make bench`. -->"
FEW_END = "<!-- End of the figures of the README. -->"

#: Where docs/figures.json has them; beside it stands what storms and seeded bugs have shown.
KEY = "benchmarks"

_COLUMNS = ("benchmark", "", "value", "floor", "ratio", "goal", "holds", "plain", "date")


def keep(result: Mapping[str, Any]) -> None:
    """Keep a benchmark's JSON in place of its last one."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kept = {**figures.get(KEY, {}), result["name"]: result}
    figures[KEY] = dict(sorted(kept.items()))
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")


def write() -> None:
    """Write the table and the README's figures anew."""
    _replace(MEASURED, BEGIN, table(), END)
    _replace(README, FEW_BEGIN, few(), FEW_END)


def _replace(page: Path, begin: str, content: str, end: str) -> None:
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}")


def table() -> str:
    """Return the table, and under it the machines."""
    results = json.loads(FIGURES.read_text())[KEY].values()
    rows = [_COLUMNS, ["---"] * len(_COLUMNS)]
    rows += [row for result in results for row in _rows(result)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _machines(results)])


@dataclass(frozen=True)
class _Few:
    """A figure of the README: what it says, and the case that says so."""

    said: str
    benchmark: str
    case: str
    unit: str
    in_a_unit: float = 1.0  #: So many of the benchmark's are one of these.


_FEW = (
    _Few(
        "jobs a second of one card, 0.25 s renders, 20 ms to node and store; {floor} is all it can",
        *("gpu_busy", "0.25 s renders, 20 ms"),
        "",
    ),
    _Few(
        "worker killed and restarted: waiting for its render again",
        *("recovery", "kill -9, restarted: waiting again, median"),
        "s",
    ),
    _Few("model loads for 192 jobs of 4 models on 8 nodes", "affinity", "4 models, 8 nodes", ""),
    _Few("10,000 rows of a spreadsheet handed in", "enqueue", "10,000 rows of CSV", "s", 100.0),
)
_STORMS = ("a shorter storm, ComfyFleet", "the same seed, plain Celery")


def few() -> str:
    """Return the README's figures: ours, and those of plain Celery on the same machine."""
    figures = json.loads(FIGURES.read_text())
    rows = ["| | ComfyFleet | plain Celery |", "| --- | --- | --- |"]
    for few in _FEW:
        cases = figures[KEY][few.benchmark]["cases"]
        case = next(case for case in cases if case["name"].startswith(few.case))
        said = few.said.format(floor=_told(case["floor"]))
        ours, plain = (_told(case[who] / few.in_a_unit) for who in ("value", "plain"))
        rows.append(f"| {said} | {ours} {few.unit} | {plain} {few.unit} |".replace("  |", " |"))
    ours, plain = (figures[name] for name in _STORMS)
    told = (f"{storm['lost']} of {storm['jobs']:,}" for storm in (ours, plain))
    said = f"jobs lost in a storm of faults ({ours['faults']} here, {plain['faults']} there)"
    return "\n".join([*rows, f"| {said} | {' | '.join(told)} |"])


def _rows(result: Mapping[str, Any]) -> Iterator[list[str]]:
    """Give a row for each case that has a goal."""
    for case in result["cases"]:
        if case["goal"].startswith("none"):
            continue
        unit = f" {case.get('unit') or result['unit']}".rstrip()
        yield [
            result["name"],
            case["name"],
            _told(case["value"]) + unit,
            _told(case["floor"]) + unit,
            f"{case['ratio']:.2f}",
            case["goal"].replace("<=", "≤").replace(">=", "≥"),
            "yes" if case["holds"] else "**no**",
            "-" if case["plain"] is None else _told(case["plain"]) + unit,
            result["date"],
        ]


def _machines(results: Any) -> str:
    """Say where it was measured; the ratios may be compared between machines, the rest not."""
    names = defaultdict(list)
    for result in results:
        names[result["machine"]].append(result["name"])
    if len(names) == 1:
        return f"Machine: {next(iter(names))}."
    return "\n".join(f"{', '.join(those)}: {machine}.  " for machine, those in names.items())


def _told(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    write()
