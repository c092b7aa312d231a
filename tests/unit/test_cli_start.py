"""What a command loads before it runs: help and completion come at once."""

from __future__ import annotations

import subprocess
import sys

#: Shows every help that there is in one process; prints what each was the first to load of what
#: only a command that runs needs.
SHOW_ALL_HELP = """
import sys
from typer.main import get_command
from infra.local.__main__ import app as local
from producer.cli.main import app
from producer.webhooks.__main__ import app as hooks
from worker.__main__ import app as worker

HEAVY = {
    "boto3", "botocore", "celery", "kombu", "pydantic", "redis", "requests", "rich", "websocket", "fastapi", "uvicorn",
}
PASSED_ON = {"worker", "api", "hooks", "up", "demo"}  # to another process, which the other apps are

def words(command, *before):
    yield before
    for name, below in getattr(command, "commands", {}).items():
        yield from words(below, *before, name)

shown = 0
for name, app in {"comfyfleet": app, "infra.local": local, "worker": worker, "hooks": hooks}.items():
    command = get_command(app)
    for line in words(command):
        if name == "comfyfleet" and PASSED_ON & set(line):
            continue
        assert not command([*line, "--help"], prog_name=name, standalone_mode=False)
        shown += 1
        for module in HEAVY & sys.modules.keys():
            print(f"{name} {' '.join(line)} loads {module}", file=sys.stderr)
            HEAVY.discard(module)
print(shown, file=sys.stderr)
"""


def test_help_loads_nothing_that_only_a_run_needs():
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_ALL_HELP],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    *loaded, count = shown.stderr.splitlines()
    assert loaded == []
    assert int(count) > 30
    assert shown.stdout.count("Usage: ") == int(count)
