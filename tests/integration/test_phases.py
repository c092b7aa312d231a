"""Whatever a node or a store does in whichever phase, a cancel ends the job soon and nothing stays."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from infra.standin.faults import FaultRule
from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from infra.standin.server import Standin
from producer.contract.config.settings import Settings
from producer.contract.jobs import Job, JobStatus
from tests.graphs import picture, sleeping
from tests.integration.object_store.faulty_store import faulty_store
from tests.polling import wait_until
from worker.assembly import Hooks, Options
from worker.service import NodeWorker

#: Of each kind so many attempts at once.
ATTEMPTS = 3

#: What a node does: it gives a byte a second where it is not said otherwise; of the last rule it is
#: told how often it struck. `infra/standin/faults.py` has the words.
FAULTS = {
    "upload": [{"on": "POST /upload/image"}],
    "post": [{"on": "POST /prompt"}],
    "post unanswered": [{"on": "POST /prompt", "do": "close"}, {"on": "GET /queue"}],
    "wait": [{"on": "step", "do": "hang", "deaf": True}],
    "history": [{"on": "GET /history"}],
    "silence": [{"on": "GET /history", "do": "hang"}],
    "view": [{"on": "GET /view"}],
    "everything": [{"on": "* /*"}],
    "store": [],
}

READS_A_PICTURE = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


class Drip:
    """A store whose answers to artifacts come a byte every now and then, and never end."""

    def __init__(self) -> None:
        self.fired = 0
        self.is_over = threading.Event()

    def __call__(self, request) -> int | None:
        if request.command != "PUT" or "/jobs/" not in request.path:
            return None
        self.fired += 1
        with suppress(OSError):
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self.is_over.wait(0.2):
                request.wfile.write(b"a")
        request.close_connection = True
        request.wfile = io.BytesIO()
        return 500


@contextmanager
def serving(settings: Settings, node: Standin, name: str) -> Iterator[NodeWorker]:
    """Have a worker for *node*, without its Celery side."""
    hooks = Hooks(
        threads=8,
        queues=list,
        on_queue=lambda _: None,
        on_queue_retired=lambda _: None,
        on_taken_over=lambda _: None,
    )
    worker = NodeWorker(Options(name=name, pool=name, comfyui_url=node.url), settings, hooks)
    worker.join()
    try:
        yield worker
    finally:
        worker.close()


def held() -> tuple[int, int]:
    """Return how many calls of workers are out, and how many descriptors this process has."""
    calls = [thread for thread in threading.enumerate() if thread.name == "bounded-call"]
    return len(calls), len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def begun(
    led_with_s3,
    tmp_path,
) -> Iterator[Callable]:
    """Return what begins attempts that are kept waiting in one phase, and how to tell that they are."""
    with ExitStack() as stack:
        drip = Drip()
        stack.callback(drip.is_over.set)
        store = stack.enter_context(faulty_store(led_with_s3.settings.s3_endpoint_url, before=drip))
        quick = {"renew_s": 0.3, "node_progress_s": 600, "node_spool_dir": tmp_path / "spool"}

        def begin(where: str):
            node = stack.enter_context(standin_thread(StandinOptions(directory=tmp_path / where)))
            settings = led_with_s3.settings.model_copy(
                update=quick if where != "store" else {**quick, "s3_endpoint_url": store.url}
            )
            worker = stack.enter_context(serving(settings, node, where.replace(" ", "-")))
            rule = drip
            for fault in FAULTS[where]:
                rule = FaultRule(**{"do": "slow", "bytes_per_s": 1, "count": 0, **fault})
                node.faults.add(rule)
            jobs = [submitted(led_with_s3.fleet, where) for _ in range(ATTEMPTS)]
            for job in jobs:
                threading.Thread(target=worker.run, args=(job.id, 1), daemon=True).start()
            return jobs, rule

        yield begin


_heights = itertools.count(16)


def submitted(fleet, where: str) -> Job:
    if where == "upload":
        # Each has its own: a file that its node has already is not sent again.
        own = picture((64, next(_heights)))
        return fleet.submit(READS_A_PICTURE, pool="upload", inputs={"1.image": own})
    return fleet.submit(sleeping(0.01), pool=where.replace(" ", "-"))


def test_a_cancel_ends_a_job_in_every_phase_and_leaves_no_thread_and_no_descriptor(
    begun, led_with_s3
):
    fleet = led_with_s3.fleet
    waiting = {where: begun(where) for where in FAULTS}
    for where, (_, rule) in waiting.items():
        count = 1 if where == "wait" else ATTEMPTS  # the others wait for their turn
        wait_until(lambda r=rule, c=count: r.fired >= c, description=where, within_s=60)
    jobs = {job.id: where for where, (jobs, _) in waiting.items() for job in jobs}
    calls, descriptors = held()
    assert calls >= len(jobs) > 20

    for job in jobs:
        fleet.cancel(job)
    wait_until(lambda: all(fleet.get(job).done for job in jobs), description="all end", within_s=30)
    ends = {where: fleet.get(job).status for job, where in jobs.items()}
    assert ends == dict.fromkeys(waiting, JobStatus.CANCELLED)
    wait_until(lambda: held()[0] == 0, description="no call is out")
    wait_until(lambda: held()[1] <= descriptors - 20, description="descriptors are free")
