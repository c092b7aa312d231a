"""A backend's own Celery, and its variables, leave ours alone, and ours leaves theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

#: Loads our app as a producer does; says what became of both.
LOAD = """
import json
from celery import Celery, current_app, shared_task

theirs = Celery("theirs", broker="memory://", set_as_current=True)

@shared_task
def task(): pass

from producer.celery_app import celery_app
ours = celery_app()
ours.finalize()
print(json.dumps({
    "ours": ours.main,
    "current": current_app.main,
    "task": task.app.main,
    "results": type(ours.backend).__name__,
    "loader": type(ours.loader).__name__,
    "serializer": ours.conf.task_serializer,
    "timezone": ours.conf.timezone,
    "compression": ours.conf.task_compression,
    "tiers": ours.conf.broker_transport_options["priority_steps"],
}))
"""

VARIABLES = {
    "none": {},
    "of results": {"CELERY_RESULT_BACKEND": "nosuch://server"},
    "of its settings": {"CELERY_CONFIG_MODULE": "their_settings"},
    "of its loader": {"CELERY_LOADER": "nosuch.loader:Loader"},
    "of Django": {"DJANGO_SETTINGS_MODULE": "nosuch.settings"},
}


@pytest.mark.parametrize("variables", VARIABLES)
def test_the_apps_of_a_backend_and_of_the_fleet_are_two(variables, tmp_path):
    (tmp_path / "their_settings.py").write_text(
        "timezone = 'Asia/Tokyo'\ntask_compression = 'zlib'\n"
    )
    theirs = VARIABLES[variables]
    program = LOAD
    if theirs:  # their own app would obey them, and needs none of them here
        program = LOAD.replace("set_as_current=True)", 'loader="app", fixups=[])')
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}", **theirs},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "ours": "comfyfleet",
        "current": "theirs",
        "task": "theirs",
        "results": "DisabledBackend",
        "loader": "AppLoader",
        "serializer": "json",
        "timezone": "UTC",
        "compression": None,
        "tiers": [0, 3, 6, 9],
    }
