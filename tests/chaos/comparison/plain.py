"""The same storm over a plain Celery task, counted beside ours."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from tests.chaos.checker.collection import collect_objects
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.options import FleetOptions
from tests.chaos.fleet.servers import BUCKET
from tests.chaos.fleet.workload import Work
from tests.chaos.storm.product import run_storm
from tests.chaos.storm.stories import POOL_OF
from tests.chaos.storm.storm import Storm, StormOptions

#: Celery looks every 100 s for what is older than the visibility timeout.
_QUIET_S: Final = 200.0
_COMMAND: Final = (
    *(
        "-m",
        "celery",
        "-A",
        "tests.chaos.comparison.plain_app",
        "worker",
        "-P",
        "prefork",
        "-c",
        "1",
    ),
    *("-l", "WARNING"),
)


class PlainClient:
    """Sends tasks; a task that could not be sent for sure is sent again under the same id."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.accepted: dict[str, Work] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Work, *, key: str, **_: Any) -> str | None:
        """Send one task; return its id, or None when nobody took it for sure."""
        try:
            self._app.send_task(
                "plain.render", args=(key, work.graph, dict(work.params)), task_id=key
            )
        except Exception:  # noqa: BLE001 - kombu 5.7 raises AttributeError on a cut connection, too
            return None
        self.accepted[key] = work
        return key

    def submit_surely(self, work: Work, *, key: str, **how: Any) -> str:
        """Send it as often as it takes."""
        while self.submit(work, key=key, **how) is None:
            time.sleep(0.3)  # as our own client in the same storm
        return key

    def submit_rows_surely(self, works: Sequence[Work], *, key: str, **how: Any) -> list[str]:
        """Send a task for each: Celery knows no batches."""
        return [
            self.submit_surely(work, key=f"{key}-{number}", **how)
            for number, work in enumerate(works)
        ]

    def cancel(self, job: str) -> None:
        """Do nothing: a Celery task has no cancel that is sure."""

    def retry_surely(self, job: str, work: Work) -> None:
        """Do nothing: an ended task is not made again."""


class Plain:
    """The plain side of a storm. Persons can do nothing more: a message stays where it was sent, a worker takes work while it is up."""

    has_stories: Final = False

    def __init__(self, fleet: ChaosFleet) -> None:
        os.environ["COMFYFLEET_REDIS_URL"] = fleet.settings().redis_url
        from tests.chaos.comparison.plain_app import app  # noqa: PLC0415 - it reads the address at import

        self._redis = fleet.redis.client
        self.sender = PlainClient(app)

    def client(self) -> PlainClient:
        """Return the client."""
        return self.sender

    def ended(self, jobs: Sequence[str]) -> set[str]:
        """Return those of the jobs that have ended."""
        from tests.chaos.comparison.plain_app import ENDS  # noqa: PLC0415

        found = self._redis.hmget(ENDS, jobs) if jobs else []
        return {job for job, end in zip(jobs, found, strict=True) if end}

    def wait_well(self) -> None:
        """Return: nothing tells whether a plain worker takes work."""

    def count(self) -> dict[str, int]:
        """Count what became of the jobs that should have succeeded."""
        from tests.chaos.comparison.plain_app import COMMITS  # noqa: PLC0415

        good = {
            job for job, work in self.sender.accepted.items() if work.expects["end"] != "failed"
        }
        commits = {job: int(times) for job, times in self._redis.hgetall(COMMITS).items()}
        waiting = self._waiting()
        missing = {job for job in good if not commits.get(job)}
        return {
            "jobs": len(self.sender.accepted),
            "lost": len(missing - waiting),
            "stuck": len(missing & waiting),
            "duplicate_commits": sum(times > 1 for times in commits.values()),
        }

    def _waiting(self) -> set[str]:
        """Return the jobs whose messages are in the queue, or taken and not acknowledged."""
        messages = [json.loads(text)[0] for text in self._redis.hvals("unacked")]
        for key in self._redis.scan_iter("comfyfleet.*", _type="list"):
            messages += map(json.loads, self._redis.lrange(key, 0, -1))
        return {message["headers"]["id"] for message in messages}


def run_plain(options: StormOptions, folder: Path) -> dict[str, Any]:
    """Storm the plain task and count."""
    began = time.monotonic()
    fleet_options = FleetOptions(
        directory=folder / "fleet", pools=("default",) * len(POOL_OF), worker_command=_COMMAND
    )
    with (
        ChaosFleet(fleet_options) as fleet,
        Evidence(fleet, folder / "evidence") as evidence,
    ):
        plain = Plain(fleet)
        Storm(replace(options, quiet_s=_QUIET_S), fleet, evidence, plain).run()
        counted = plain.count()
        for member in fleet.members:
            evidence.keep_journal(member)
        objects = folder / "objects.jsonl"
        with fleet.s3.client() as s3:
            collect_objects(s3, BUCKET, objects)
        renders = len(evidence.prompts())
    pictures = [json.loads(line).get("picture", {}) for line in objects.read_text().splitlines()]
    return {
        **counted,
        "damaged_artifacts": sum("error" in picture for picture in pictures),
        "extra_renders": max(0, renders - counted["jobs"]),
        "faults": len(evidence.strikes()),
        "seconds": round(time.monotonic() - began),
    }


def compare(options: StormOptions, folder: Path) -> dict[str, Any]:
    """Run both sides under the same seed and return both columns."""
    # Both get the same faults only if both last as long.
    options = replace(options, is_paced=True)
    ours = run_storm(options, folder / "ours")
    plain = run_plain(options, folder / "plain")
    ours["damaged_artifacts"] = ours["by_invariant"].get("I5", 0)
    return {
        "seed": options.seed,
        "comfyfleet": {name: ours[name] for name in plain},
        "plain_celery": plain,
    }
