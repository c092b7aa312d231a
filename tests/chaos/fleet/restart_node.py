"""`python -m tests.chaos.fleet.restart_node NODE URL PID_FILE FOLDER`: what a worker runs to have its ComfyUI restarted.

The stand-in is killed, and started anew by who keeps it. What it has executed dies with it, so that is put into FOLDER first.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import requests

_ANSWERS_WITHIN_S: Final = 2.0


def main(node: str, url: str, pid_file: Path, folder: Path) -> None:
    """Restart it, once."""
    pid, boot = pid_file.read_text().split()
    with requests.Session() as session, suppress(requests.RequestException, ValueError):
        session.trust_env = False
        told = session.get(f"{url}/standin/journal", timeout=_ANSWERS_WITHIN_S).json()
        folder.mkdir(exist_ok=True)
        (folder / f"{node}-{boot}.json").write_text(json.dumps(told["prompts"]))
    with suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(Path, sys.argv[3:]))
