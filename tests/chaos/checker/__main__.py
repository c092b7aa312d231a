"""`python -m tests.chaos.checker DIR`: judge the evidence in a folder; 1 if a promise was broken.

It shares no code with the product: what it knows of keys, statuses and ids it was told again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.chaos.checker.verdict import summary


def main() -> int:
    """Print the verdict as JSON."""
    verdict = summary(Path(sys.argv[1]))
    print(json.dumps(verdict, indent=1))
    return min(verdict["violations"], 1)


if __name__ == "__main__":
    sys.exit(main())
