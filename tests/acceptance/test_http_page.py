"""The page about HTTP, as a new user runs it: from an empty shell to a picture and a verified webhook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from infra.local.ports import choose_ports
from producer.contract.access import Scope
from tests.integration.api_server import running_api
from tests.polling import wait_until

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs/use/http.md", ROOT / "docs/use/templates.md")
_BLOCK = re.compile(
    r"<!-- not run: tests/acceptance/test_http_page.py runs it.*? -->\n```sh\n(.*?)```", re.DOTALL
)


def test_the_page_leads_from_an_empty_shell_to_a_picture_and_a_verified_webhook(
    stack, fleet, tmp_path
):
    made = fleet.keys.create("page", owner="shop", scopes=[Scope.SUBMIT, Scope.READ])
    for name in ("infra", "docs", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    blocks = [block for page in PAGES for block in _BLOCK.findall(page.read_text())]
    assert len(blocks) == 8
    port = str(choose_ports(["receiver"], {})["receiver"])
    settings = {**stack.settings_env, "COMFYFLEET_TRUSTED_HOSTS": f"127.0.0.1:{port}"}
    with running_api({}, tmp_path / "api.log", **settings) as url, hooks(settings):
        told = tmp_path / "told.txt"
        with running(
            "\n".join(blocks).replace("9000", port), told, tmp_path, API=url, KEY=made.secret
        ) as shell:
            assert shell.wait(90) == 0, told.read_text()
            job = json.loads((tmp_path / "told.json").read_text())
            wait_until(
                lambda: f"verified: job.succeeded {job['id']}" in told.read_text(),
                description="the webhook is told and verified",
            )
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["status"], job["owner"]) == ("succeeded", "shop")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert '"type":"snapshot"' in told.read_text()
    template, check, made = (
        json.loads((tmp_path / f"{name}.json").read_text())
        for name in ("template", "check", "made")
    )
    assert (template["revision"], made["template"]) == (1, template["template"])
    assert check["runs_on"] == len(check["nodes"]) > 0
    assert (
        check["params"]["3.cfg"].items() >= {"type": "FLOAT", "default": 8.0, "max": 100.0}.items()
    )
    [batch] = fleet.batches(1, "shop")
    assert (batch.name, batch.rows, batch.sealed_at is not None) == ("night-0412", 2, True)


@contextmanager
def running(script, told, cwd, **environment):
    """Run a shell, and end what it leaves behind."""
    with (
        told.open("w") as file,
        subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
            start_new_session=True,
        ) as shell,
    ):
        try:
            yield shell
        finally:
            subprocess.run(["kill", "--", f"-{shell.pid}"], check=False)


@contextmanager
def hooks(settings):
    """Run what sends the messages to webhooks."""
    command = [sys.executable, "-m", "producer.webhooks"]
    with subprocess.Popen(command, env={**os.environ, **settings}) as process:
        try:
            yield
        finally:
            process.kill()
