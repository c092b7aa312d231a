"""`python -m tests.bench NAME [--json]`: one benchmark, or `all` of them."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

NAMES = ("gpu_busy", "misplaced", "pickup", "recovery")


def main() -> int:
    """Run what was asked for; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    given = parser.parse_args()
    names = NAMES if given.name == "all" else (given.name,)
    missed = 0
    for name in names:
        missed += not import_module(f"tests.bench.{name}").run().print(as_json=given.json)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
