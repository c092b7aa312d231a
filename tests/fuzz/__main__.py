"""`python -m tests.fuzz submissions --cases 5000`: odd submissions, on servers of its own."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from redis import Redis

from infra.background import BackgroundSupervisor
from infra.supervisor import Supervisor
from producer.client import Producer
from producer.contract.settings import Settings
from tests import servers
from tests.fuzz.node import living_node
from tests.fuzz.submissions import Report, SubmissionFuzz


def main() -> int:
    """Do what was asked for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=("submissions",))
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="on one line")
    given = parser.parse_args()
    report = _submissions(cases=given.cases, seed=given.seed)
    print(report.as_json() if given.json else _told(report))
    return min(1, len(report.broken))


def _submissions(*, cases: int, seed: int) -> Report:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            BackgroundSupervisor(Supervisor(folder / "logs")) as services,
            servers.running_s3(folder / "s3") as s3,
        ):
            redis = servers.start_redis(services, folder / "redis")
            credentials = folder / "credentials"
            credentials.write_text(
                f"[default]\naws_access_key_id = {s3.access_key}\n"
                f"aws_secret_access_key = {s3.secret_key}\n"
            )
            settings = Settings(
                redis_url=redis.url,
                s3_endpoint_url=s3.endpoint_url,
                s3_bucket="probe",
                s3_addressing_style="path",
                s3_credentials_file=credentials,
                lease_s=86_400,
            )
            with (
                Redis.from_url(redis.url, decode_responses=True) as client,
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
