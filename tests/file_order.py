"""Which test files begin first, so that workers that take file after file end together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent

#: Seconds that a file takes alone, on two cores, rounded; all others take less than 30.
SECONDS: Final = {
    "acceptance/test_node_faults.py": 100,
    "acceptance/test_cli.py": 90,
    "acceptance/test_shutdown.py": 80,
    "acceptance/test_surroundings.py": 60,
    "acceptance/test_odd_answers.py": 40,
    "acceptance/test_batches.py": 35,
    "integration/test_celery_traps.py": 35,
}


def weight(path: Path) -> int:
    """Return how long a file takes, s; 0 for one that is not listed."""
    return SECONDS.get(path.relative_to(TESTS).as_posix(), 0) if path.is_relative_to(TESTS) else 0
