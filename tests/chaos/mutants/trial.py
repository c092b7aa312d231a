"""Seeded bugs: small changes to a copy of the product, each of which the checker must catch.

What no mutant can break is not proved by the other tests either.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.fleet.options import TREE
from tests.chaos.mutants.mutation import Mutant, apply
from tests.chaos.mutants.of_companion import OF_COMPANION
from tests.chaos.mutants.of_graphs import OF_GRAPHS
from tests.chaos.mutants.of_operations import OF_OPERATIONS
from tests.chaos.mutants.of_producer import OF_PRODUCER
from tests.chaos.mutants.of_records import OF_RECORDS
from tests.chaos.mutants.of_web import OF_WEB
from tests.chaos.mutants.of_worker import OF_WORKER

MUTANTS: Final = (
    *(*OF_PRODUCER, *OF_RECORDS, *OF_WORKER, *OF_WEB, *OF_OPERATIONS),
    *(*OF_GRAPHS, *OF_COMPANION),
)

_COPIED: Final = ("producer", "worker", "infra", "tests", "celery_config.py")
_LONGEST_S: Final = 240
_AT_ONCE: Final = 2


@dataclass(frozen=True)
class Caught:
    """What came of one mutant; the unchanged product is one, too, called `none`."""

    mutant: str
    scenario: str
    expected: str
    found: dict[str, int]
    evidence: str

    @property
    def is_right(self) -> bool:
        """Whether it was caught by the invariant it breaks; the unchanged product by none."""
        return self.expected in self.found if self.expected else not self.found


def run_mutants(folder: Path, names: Iterable[str] = ()) -> list[Caught]:
    """Run every mutant, or those named, and the unchanged product in the same scenarios."""
    wanted = [mutant for mutant in MUTANTS if mutant.name in names or not names]
    unchanged = [
        Mutant("none", scenario, "", ())
        for scenario in dict.fromkeys(mutant.scenario for mutant in wanted)
    ]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda mutant: _told(_row(mutant, folder)), unchanged + wanted))


def as_json(rows: Iterable[Caught]) -> dict[str, Any]:
    """Return the rows, and how many mutants were caught."""
    rows = list(rows)
    return {
        "mutants": sum(bool(row.expected) for row in rows),
        "caught": sum(bool(row.expected) and row.is_right for row in rows),
        "false_alarms": sum(not row.expected and not row.is_right for row in rows),
        "rows": [{**vars(row), "right": row.is_right} for row in rows],
    }


def _row(mutant: Mutant, folder: Path) -> Caught:
    place = folder / re.sub(r"[^a-z0-9]+", "-", f"{mutant.name}-{mutant.scenario}".lower())
    tree = _copy(place / "tree")
    apply(mutant, tree)
    verdict = _tell(mutant.scenario, tree, place / "evidence")
    if verdict is None:  # the machine, not the mutant: the fleet itself did not come up
        verdict = _tell(mutant.scenario, tree, place / "evidence-2")
    shutil.rmtree(place)
    if verdict is None:
        return Caught(mutant.name, mutant.scenario, mutant.invariant, {"no verdict": 1}, "")
    found = verdict["found"]
    named = [v["evidence"] for v in found if v["invariant"] == mutant.invariant or not mutant.edits]
    evidence = named[0] if named else ""
    return Caught(mutant.name, mutant.scenario, mutant.invariant, verdict["by_invariant"], evidence)


def _told(row: Caught) -> Caught:
    """Tell of a row as soon as it is there: all of them take most of an hour."""
    what = "" if row.is_right else f", NOT RIGHT: {row.found}"
    print(f"{row.scenario}: {row.mutant}{what}", file=sys.stderr, flush=True)
    return row


def _copy(tree: Path) -> Path:
    tree.mkdir(parents=True)
    for name in _COPIED:
        source = TREE / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "recordings")
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy(source, tree / name)
    return tree


def _tell(scenario: str, tree: Path, kept: Path) -> dict[str, Any] | None:
    """Return the verdict on one scenario in one tree; None if there was none."""
    command = (sys.executable, "-m", "tests.chaos", "scenario", scenario, "--json")
    try:
        done = subprocess.run(
            (*command, "--keep", str(kept)),
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
        return json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return None
