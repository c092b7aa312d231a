"""The page about HTTP, as a new user runs it: from an empty shell to a picture."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from producer.contract.access import Scope
from tests.integration.api_server import running_api

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/use/http.md"
_BLOCK = re.compile(
    r"<!-- not run: tests/acceptance/test_http_page.py runs it -->\n```sh\n(.*?)```", re.DOTALL
)


def test_the_page_leads_from_an_empty_shell_to_a_picture(stack, fleet, tmp_path):
    made = fleet.keys.create("page", owner="shop", scopes=[Scope.SUBMIT, Scope.READ])
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    blocks = _BLOCK.findall(PAGE.read_text())
    assert len(blocks) == 4
    with running_api({}, tmp_path / "api.log", **stack.settings_env) as url:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
            cwd=tmp_path,
            env={**os.environ, "API": url, "KEY": made.secret},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["status"], job["owner"]) == ("succeeded", "shop")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert '"type":"snapshot"' in ran.stdout
    [batch] = fleet.batches(1, "shop")
    assert (batch.name, batch.rows, batch.sealed_at is not None) == ("night-0412", 2, True)
