"""Requests to the HTTP API by the thousand, made from its own description by schemathesis.

Every check that schemathesis has: no 5xx, answers as described, no key no answer, wrong requests refused. What is
excused stands in `CONFIG`, each with its reason.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from producer.client import Producer
from producer.contract.access import Scope
from producer.contract.config.settings import Settings
from tests.fuzz.stores import running_stores
from tests.integration.api_server import running_api

CONFIG: Final = """\
# Streams do not end by themselves, so each would be waited for until the time is over.
[[operations]]
include-path-regex = "/events$"
enabled = false

[checks]
# A description cannot say that a graph works, that an id is there, or that rows are JSON lines: such a request may be
# refused although it fits its schema.
positive_data_acceptance.expected-statuses = ["2xx", "302", "400", "401", "403", "404", "408", "409", "413", "415", "422", "429", "503"]
# The path is looked up before the query is read, so a wrong query of a job that is not there is a 404.
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "408", "409", "413", "415", "422", "429"]
"""
_ROOT: Final = Path(__file__).parents[2]
#: Of one line of a report: a URL may be as long as it likes.
_LONGEST_LINE: Final = 500
_CASES: Final = re.compile(r"(\d[\d,]*) generated")


@dataclass
class Report:
    """What came of it."""

    cases: int
    broken: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return asdict(self)


def run(*, cases: int, seed: int) -> Report:
    """Have about so many requests made."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_stores(folder) as settings:
            with Producer(Settings.model_validate(settings)) as fleet:
                key = fleet.keys.create("fuzz", owner="fuzz", scopes=[Scope.ADMIN]).secret
            log = folder / "api.log"
            with running_api(settings, log) as url:
                report = asked(url, key, folder, cases=cases, seed=seed)
            if "Traceback" in (said := log.read_text(errors="replace")):
                report.broken.append(said[-5_000:])
            return report


def asked(
    url: str,
    key: str,
    folder: Path,
    *,
    cases: int,
    seed: int,
    phases: str = "examples,coverage,fuzzing",
) -> Report:
    """Have about so many requests made of one server, with a key that opens everything.

    Args:
        folder: where schemathesis may leave files.
    """
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = (
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"),
        *(f"{url}/v1/openapi.json", "--header", f"Authorization: Bearer {key}"),
        *("--checks", "all", "--max-examples", str(max(1, cases // 50)), "--seed", str(seed)),
        *("--phases", phases, "--no-color", "--request-timeout", "20"),
    )
    hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz.http_hooks", "PYTHONPATH": str(_ROOT)}
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **hooks},
        capture_output=True,
        text=True,
        check=False,
    )
    made = sum(int(count.replace(",", "")) for count in _CASES.findall(ran.stdout))
    said = "\n".join(line[:_LONGEST_LINE] for line in ran.stdout.splitlines())
    broken = [] if ran.returncode == 0 else [said[-20_000:] + ran.stderr[-2_000:]]
    return Report(made, broken)
