"""Keeps the last figures of each benchmark, and writes the README's table from them.

`python -m tests.bench all --readme` does both; `python -m tests.bench.readme` only the second.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FIGURES = ROOT / "docs/figures.json"

BEGIN = "<!-- The table of benchmarks is written by `make bench`. -->"
END = "<!-- End of the table of benchmarks. -->"

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
    """Write the README's table anew."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}")


def table() -> str:
    """Return the table, and under it the machines."""
    results = json.loads(FIGURES.read_text())[KEY].values()
    rows = [_COLUMNS, ["---"] * len(_COLUMNS)]
    rows += [row for result in results for row in _rows(result)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _machines(results)])


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
