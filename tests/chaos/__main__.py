"""`python -m tests.chaos WHAT`: storm, enumerate, mutants, compare or check."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.checker.verdict import summary
from tests.chaos.comparison.plain import compare
from tests.chaos.enumeration.crashes import enumerate_all
from tests.chaos.mutants.scenarios import SCENARIOS, run_scenario
from tests.chaos.mutants.trial import as_json, run_mutants
from tests.chaos.storm.product import run_storm
from tests.chaos.storm.storm import StormOptions


def main() -> int:
    """Do what was asked for; 1 if a promise was broken."""
    given = _parser().parse_args()
    return given.run(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    commands = parser.add_subparsers(required=True)
    storm = commands.add_parser("storm", help="mixed jobs under faults of every family")
    storm.set_defaults(run=partial(_in_folder, _storm))
    both = commands.add_parser("compare", help="the same storm over a plain Celery task")
    both.set_defaults(run=partial(_in_folder, _compare))
    storm.add_argument(
        "--landed-share",
        type=float,
        default=0,
        help="how many workers, processes of the web and calls of producers are of the version landed last, 0 to 1",
    )
    storm.add_argument(
        "--http-share",
        type=float,
        default=StormOptions.http_share,
        help="how many jobs and batches are handed in over HTTP, each with a webhook, 0 to 1",
    )
    for command in (storm, both):
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--jobs", type=int, default=1000)
        command.add_argument("--faults", type=int, default=0, help="rage until so many struck")
        command.add_argument("--minutes", type=float, default=4, help="at most")
        command.add_argument("--rate", type=float, default=1, help="faults a second")
    check = commands.add_parser("check", help="judge a folder of evidence")
    check.set_defaults(run=_check)
    check.add_argument("folder", type=Path)
    enumerate_ = commands.add_parser("enumerate", help="each request cut, each crash point killed")
    enumerate_.set_defaults(run=partial(_in_folder, _enumerate))
    scenario = commands.add_parser("scenario", help="one short story")
    scenario.set_defaults(run=partial(_in_folder, _scenario))
    scenario.add_argument("name", choices=sorted(SCENARIOS))
    mutants = commands.add_parser("mutants", help="seeded bugs, each to be caught")
    mutants.set_defaults(run=partial(_in_folder, _mutants))
    mutants.add_argument("--only", nargs="*", default=(), help="names of mutants")
    for command in (storm, both, enumerate_, scenario, mutants, check):
        command.add_argument("--json", action="store_true", help="on one line")
    for command in (storm, both, enumerate_, scenario, mutants):
        command.add_argument("--keep", type=Path, help="a folder for logs and evidence")
    return parser


def _storm(given: argparse.Namespace, folder: Path) -> int:
    verdict = run_storm(_options(given), folder)
    _print(verdict, as_json=given.json)
    return int(verdict["violations"] > 0 or not verdict["is_enough"])


def _compare(given: argparse.Namespace, folder: Path) -> int:
    both = compare(_options(given), folder)
    _print(both, as_json=given.json)
    ours = both["comfyfleet"]
    return min(1, ours["lost"] + ours["stuck"] + ours["duplicate_commits"])


def _check(given: argparse.Namespace) -> int:
    verdict = summary(given.folder)
    _print(verdict, as_json=given.json)
    return min(1, verdict["violations"])


def _options(given: argparse.Namespace) -> StormOptions:
    return StormOptions(
        seed=given.seed,
        jobs=given.jobs,
        faults=given.faults,
        minutes=given.minutes,
        faults_per_s=given.rate,
        landed_share=getattr(given, "landed_share", 0),
        http_share=getattr(given, "http_share", 0),
    )


def _enumerate(given: argparse.Namespace, folder: Path) -> int:
    found = enumerate_all(folder)
    _print(found, as_json=given.json)
    return int(found["green"] < found["cases"])


def _scenario(given: argparse.Namespace, folder: Path) -> int:
    verdict = run_scenario(given.name, folder)
    _print(verdict, as_json=given.json)
    return min(1, verdict["violations"])


def _mutants(given: argparse.Namespace, folder: Path) -> int:
    found = as_json(run_mutants(folder, given.only))
    _print(found, as_json=given.json)
    return int(found["caught"] < found["mutants"] or found["false_alarms"] > 0)


def _in_folder(judge: Callable[[argparse.Namespace, Path], int], given: argparse.Namespace) -> int:
    """Judge in a folder of its own, which stays where it was asked for, or where a promise broke."""
    if given.keep is not None:
        given.keep.mkdir(parents=True)
        return judge(given, given.keep.resolve())
    folder = Path(tempfile.mkdtemp(prefix="comfyfleet-chaos-"))
    broken = 1
    try:
        broken = judge(given, folder)
    finally:
        if broken:
            print(f"logs and evidence: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return broken


def _print(what: dict[str, Any], *, as_json: bool) -> None:
    print(json.dumps(what, indent=None if as_json else 1))


if __name__ == "__main__":
    sys.exit(main())
