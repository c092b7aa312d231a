"""`python -m tests.bench NAME`: one benchmark, or `all` of them."""

from __future__ import annotations

import argparse
import inspect
import sys
from importlib import import_module

from tests.bench import readme
from tests.bench.results import Result

NAMES = (
    "affinity",
    "batch_results",
    "card_busy",
    "cold_load",
    "companion_memory",
    "encoding",
    "enqueue",
    "fanout",
    "gpu_busy",
    "http",
    "listing",
    "memory",
    "misplaced",
    "pickup",
    "progress",
    "recovery",
    "scale",
    "storing",
    "tail",
)


def main() -> int:
    """Run what was asked for; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--full", action="store_true", help="longer, where that tells more")
    parser.add_argument(
        "--readme", action="store_true", help="keep the figures, and write the pages' figures"
    )
    parser.add_argument("--part", help="one part of a benchmark that has several, as http has")
    parser.add_argument("--comfyui", metavar="URL", help="a real node, or two")
    parser.add_argument(
        "--cases", nargs="+", default=(), metavar="SECONDS:PICTURES:STORE_MS", help="of card_busy"
    )
    parser.add_argument("--jobs", type=int, help="in a run of card_busy")
    parser.add_argument("--rounds", type=int, default=1, help="of card_busy: shows the median")
    parser.add_argument(
        "--disk-mb-s",
        type=float,
        metavar="MB/S",
        help="of cold_load with --comfyui: have its models on a disk that gives no more (by bindfs)",
    )
    given = parser.parse_args()
    missed = 0
    for name in NAMES if given.name == "all" else (given.name,):
        options = {name: value for name, value in vars(given).items() if name != "name"}
        result = _run(name, **options)
        missed += not result.print(as_json=given.json)
        if given.readme:
            readme.keep(result.as_dict())
            readme.write()
    return min(missed, 1)


def _run(name: str, **options: object) -> Result:
    run = import_module(f"tests.bench.{name}").run
    known = inspect.signature(run).parameters
    return run(**{option: value for option, value in options.items() if option in known})


if __name__ == "__main__":
    sys.exit(main())
