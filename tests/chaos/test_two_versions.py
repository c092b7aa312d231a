"""Producers, workers and upkeep of the version that was landed last and of this one, in one fleet."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest

from infra.local.stack import LocalStack, Options
from producer.checking.check import Check
from producer.checking.findings import Finding, Kind
from producer.client import Producer
from producer.contract.config.settings import load_settings
from producer.contract.jobs import Job, JobStatus
from producer.own_modules import started
from tests.chaos.landed_version import LandedVersion, NoSuchCommitError, install
from tests.graphs import sleeping
from tests.polling import wait_until

SINGLE, ROWS = 40, 120
WITHIN = timedelta(seconds=120)
SETTINGS = {
    "COMFYFLEET_LEASE_S": "6",
    "COMFYFLEET_RENEW_S": "1",
    "COMFYFLEET_SWEEP_S": "0.3",
    "COMFYFLEET_PACK_ENDED_S": "3600",
    "COMFYFLEET_DELIVER_BUCKETS": "comfyfleet/*",
}
#: Whose job a copy is of is told by its name.
COPY = "s3://comfyfleet/copies/{job}-{n}{ext}"

SUBMIT = """
from producer.client import Producer
from producer.contract.config.settings import load_settings
with Producer(load_settings()) as fleet:
    copy = {"to": argument["copy"]}
    jobs = [fleet.submit(graph, owner="landed", deliver=copy).id for graph in argument["graphs"]]
    batch = fleet.submit_many(argument["graph"], argument["rows"])
    print(json.dumps({"jobs": jobs, "batch": batch.id}))
"""
READ = """
from producer.client import Producer
from producer.contract.config.settings import load_settings
with Producer(load_settings()) as fleet:
    print(json.dumps([[fleet.get(job).status, len(fleet.get(job).artifacts)] for job in argument]))
"""
WISH = """
from producer.client import Producer
from producer.contract.config.settings import load_settings
with Producer(load_settings()) as fleet:
    getattr(fleet, f"{argument['verb']}_nodes")([argument["node"]])
    print("null")
"""
STATES = """
from producer.client import Producer
from producer.contract.config.settings import load_settings
with Producer(load_settings()) as fleet:
    print(json.dumps({node.name: node.state for node in fleet.nodes()}))
"""
CHECK = """
from producer.checking.check import Check
from producer.contract.config.settings import load_settings
with Check(load_settings()) as check:
    print(json.dumps([found.sentence for found in check.run() if found.is_left]))
"""


@pytest.fixture(scope="module")
def landed(tmp_path_factory) -> LandedVersion:
    try:
        return install(tmp_path_factory.mktemp("landed"))
    except NoSuchCommitError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def stack(tmp_path, monkeypatch) -> Iterator[LocalStack]:
    """Redis, S3 and four nodes without a worker."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    nodes = ("--step-seconds", "0.01")
    options = Options(
        state_dir=tmp_path / "fleet", standin_nodes=4, standin_arguments=nodes, workers=False
    )
    with LocalStack(options) as stack:
        for name, value in stack.settings_env.items():
            monkeypatch.setenv(name, value)
        yield stack


@contextmanager
def serving(start, stack: LocalStack, number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Have a worker for one node; it is killed, and started anew, by `restart`."""
    node = stack.nodes[number]
    running: list[subprocess.Popen[bytes]] = []
    try:
        running.append(start("--name", node.name, "--comfyui", node.url))
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


def are_copied(job: Job) -> bool:
    """Tell whether there is a copy of each artifact, which is told of as done."""
    return len(job.copies) == len(job.artifacts) and {copy.state for copy in job.copies} == {"done"}


def wishers(fleet: Producer, landed: LandedVersion):
    """Return how each version says what a person wants of a node: the landed one first."""
    yield lambda verb, node: landed.ask(WISH, {"verb": verb, "node": node})
    yield lambda verb, node: getattr(fleet, f"{verb}_nodes")([node])


def obeys(fleet: Producer, landed: LandedVersion, wish, node: str, *, other: str) -> None:
    """Have a node rest: its worker, of the other version, obeys, both see it, and a job waits for its return.

    Meanwhile jobs are rendered by an *other* node, so the first one had the time for it.
    """
    wish("drain", node)
    wait_until(
        lambda: landed.ask(STATES, None)[node] == "paused", description="it rests", within_s=60
    )
    job = fleet.submit(sleeping(0.05), pin=node)
    for _ in range(3):
        fleet.wait(fleet.submit(sleeping(0.05), pin=other).id, timeout=WITHIN)
    [state] = [one.state for one in fleet.nodes() if one.name == node]
    assert (state, fleet.get(job.id).status) == ("paused", JobStatus.QUEUED)
    wish("resume", node)
    assert fleet.wait(job.id, timeout=WITHIN).status is JobStatus.SUCCEEDED


def left(findings: Iterator[Finding]) -> set[tuple[Kind, str]]:
    return {(finding.kind, finding.about) for finding in findings if finding.is_left}


@pytest.mark.timeout(600)
def test_the_landed_version_and_this_one_serve_one_fleet(landed, stack, tmp_path):
    """Both submit, both render and copy, a worker of each is killed; nothing is lost, nothing misread."""

    def start_old(*arguments):
        return landed.start("-m", "worker", *arguments)

    def start_new(*arguments):
        with (tmp_path / "new.log").open("ab") as log:
            return subprocess.Popen(started("worker", *arguments), stdout=log, stderr=log)

    work = {
        "graphs": [sleeping(0.05) for _ in range(SINGLE)],
        "graph": sleeping(0.05),
        "rows": [{"2.nonce": 10_000 + number} for number in range(ROWS)],
        "copy": COPY,
    }
    with ExitStack() as exits:
        fleet = exits.enter_context(Producer(load_settings()))
        fleets = [
            (start, exits.enter_context(serving(start, stack, number)), stack.nodes[number])
            for number, start in enumerate((start_old, start_new, start_old, start_new))
        ]
        of_old = landed.ask(SUBMIT, work)
        copy = {"to": COPY}
        of_new = [
            fleet.submit(sleeping(0.05), owner="this", deliver=copy).id for _ in range(SINGLE)
        ]
        # Of the others, whoever serves first may take nearly all.
        wait_until(
            lambda: {node.name for node in stack.nodes} <= {node.name for node in fleet.nodes()},
            description="all nodes have joined",
            within_s=90,
        )
        of_new += [fleet.submit(sleeping(0.05), pin=node.name).id for node in stack.nodes]
        rows = [{"2.nonce": 20_000 + number} for number in range(ROWS)]
        batches = [fleet.batch(of_old["batch"]), fleet.submit_many(work["graph"], rows)]
        for start, running, node in fleets[:2]:
            wait_until(
                lambda: any(fleet.get(job).done for job in of_new), description="they render"
            )
            running[-1].kill()
            running.append(start("--name", node.name, "--comfyui", node.url))
        jobs = [*of_old["jobs"], *of_new]
        ended = [fleet.wait(job, timeout=WITHIN) for job in jobs]
        counts = [fleet.wait_batch(batch.id, timeout=WITHIN).counts for batch in batches]
        wait_until(
            lambda: all(are_copied(fleet.get(job.id)) for job in ended if job.deliver),
            description="all copies are made",
            within_s=90,
        )
        for wisher, node in zip(wishers(fleet, landed), stack.nodes[1::-1], strict=True):
            obeys(fleet, landed, wisher, node.name, other=stack.nodes[2].name)
    assert {(job.status, len(job.artifacts)) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    assert [count.succeeded for count in counts] == [ROWS, ROWS]
    names = [node.name for node in stack.nodes]
    assert {job.node for job in ended} == set(names)
    assert landed.ask(READ, jobs) == [["succeeded", 1]] * len(jobs)
    assert landed.ask(CHECK, None) == []
    # A job of the landed version's producers stands in no list until a repair.
    with Check(load_settings(), repair=True) as repair:
        found = left(repair.run(objects=True))
    assert found == set()
    with Check(load_settings()) as check:
        assert left(check.run(objects=True)) == set()
