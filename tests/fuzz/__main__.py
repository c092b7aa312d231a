"""Odd things by the thousand, on servers of its own; ends with 1 if a promise was broken.

`python -m tests.fuzz submissions --cases 5000`: what is handed in.
`python -m tests.fuzz answers --cases 2000`: what nodes say, through workers of a whole fleet.
`python -m tests.fuzz http --cases 2000`: requests to the HTTP API, made from its description.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from redis import Redis

from infra.local.stack import LocalStack, Options
from producer.client import Producer
from producer.contract.config.settings import Settings, load_settings
from tests.fuzz import http_api
from tests.fuzz.answer_fleet import answer_fleet
from tests.fuzz.answer_report import AnswerReport
from tests.fuzz.answers import AnswerFuzz
from tests.fuzz.node import living_node
from tests.fuzz.stores import running_stores
from tests.fuzz.submissions import Report, SubmissionFuzz


def main() -> int:
    """Do what was asked for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("submissions", "answers", "http"))
    parser.add_argument("--cases", type=int, help="5,000 submissions, or 2,000 answers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first round of answers")
    parser.add_argument("--json", action="store_true", help="on one line")
    given = parser.parse_args()
    if given.what == "submissions":
        report = _submissions(cases=given.cases or 5_000, seed=given.seed)
        print(report.as_json() if given.json else _told(report))
    elif given.what == "http":
        asked = http_api.run(cases=given.cases or 2_000, seed=given.seed)
        told = (
            json.dumps(asked.as_dict())
            if given.json
            else "\n".join([f"{asked.cases} requests", *asked.broken])
        )
        print(told)
        return min(1, len(asked.broken))
    else:
        report = _answers(cases=given.cases or 2_000, seed=given.seed, first=given.first)
        print(report.as_json() if given.json else report.told())
    return min(1, len(report.broken))


def _answers(*, cases: int, seed: int, first: int) -> AnswerReport:
    folder = Path(tempfile.mkdtemp(prefix="comfyfleet-answers-"))
    options = Options(state_dir=folder / "stack", standin_nodes=0)
    with (
        LocalStack(options) as stack,
        Producer(load_settings(**stack.settings)) as fleet,
        answer_fleet(fleet, stack.settings_env, folder / "nodes", odd=2) as nodes,
    ):
        report = AnswerFuzz(fleet, nodes).run(cases=cases, seed=seed, first=first)
    if report.broken:
        print(f"logs are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return report


def _submissions(*, cases: int, seed: int) -> Report:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_stores(folder) as stores:
            settings = Settings.model_validate({**stores, "lease_s": 86_400})
            with (
                Redis.from_url(settings.redis_url, decode_responses=True) as client,
                Producer(settings) as fleet,
            ):
                catalog = living_node(fleet, folder / "node")
                return SubmissionFuzz(fleet, client, catalog, folder).run(cases=cases, seed=seed)


def _told(report: Report) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.refused.most_common())
    broken = "\n".join(report.broken)
    return f"{report.cases} cases: {report.accepted} accepted; {kinds}\n{broken}"


if __name__ == "__main__":
    sys.exit(main())
