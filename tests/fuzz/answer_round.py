"""One way in which a node is odd, and what comes of the jobs that meet it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

from producer.cli.escaping_console import OUT
from producer.cli.job_view import show_job
from producer.client import Producer
from producer.contract.errors import JobNotSucceeded, WaitTimeout
from producer.contract.jobs import Attempt, Job, JobStatus
from producer.contract.nodes import NodeState
from producer.contract.queues import Message, node_queue
from producer.intake.request import Request
from tests.fuzz.answer_fleet import POOL, OddNode, found
from tests.fuzz.answer_proxy import EVENTS, Rule
from tests.fuzz.answer_report import AnswerReport
from tests.graphs import fresh_nonce, picture, raising, sleeping

#: Attempts of one job that odd answers may cost.
MOST_LOST = 3
_ENDS_WITHIN = timedelta(seconds=60)
_BACK_WITHIN_S = 40.0

_CANCELS = ("POST /api/jobs/{id}/cancel", "POST /queue", "POST /interrupt")
_LOOKS = ("GET /prompt", "GET /comfyfleet/v1/status")
_CATALOG = ("GET /object_info", "GET /system_stats")
#: Endpoint → what must go wrong first, so that a worker asks it.
_ENDPOINTS: Mapping[str, Mapping[str, str]] = {
    EVENTS: {},
    "POST /prompt": {},
    "GET /history/{id}": {},
    "GET /view": {},
    "HEAD /view": {},
    "POST /upload/image": {},
    "POST /history": {},
    "POST /comfyfleet/v1/delete": {},
    "GET /queue": {"POST /prompt": "OK"},
    "GET /history": {},
    "POST /free": {},
    "GET /ws": {},
    **{endpoint: {"GET /history/{id}": "OK"} for endpoint in _CANCELS},
    **{endpoint: {} for endpoint in _LOOKS},
    **{endpoint: dict.fromkeys(_LOOKS, "OK") for endpoint in _CATALOG},
}


class Round:
    """One way to be odd, and the jobs that meet it."""

    def __init__(
        self,
        fleet: Producer,
        node: OddNode,
        report: AnswerReport,
        lock: threading.Lock,
        number: int,
    ) -> None:
        self._fleet = fleet
        self._node = node
        self._report = report
        self._lock = lock
        self._name = f"{node.name} round {number}, seed {report.seed}"
        chance = Random(f"{report.seed} {node.name} {number}")
        # Each endpoint in its turn, then by chance, some at once.
        order = list(_ENDPOINTS)
        chosen = (
            [order[number]] if number < len(order) else chance.sample(order, chance.randint(1, 3))
        )
        self._lasts = number >= len(order) and chance.random() < 0.3
        first = {name: kind for one in chosen for name, kind in _ENDPOINTS[one].items()}
        with_events = {EVENTS} if chance.random() < 0.5 else set()
        left = 1 << 30 if self._lasts else chance.randint(1, 6)
        self._rule = Rule(chance, {*chosen, *with_events}, first, left)
        self._chosen = chosen
        self._jobs_wanted = 4 if self._lasts else 1
        self._chance = chance

    def run(self) -> None:
        """Have it, and write down what came of it."""
        self._looked = self._node.proxy.asked["GET /object_info"]
        self._node.proxy.rule = self._rule
        if "GET /ws" in self._chosen:
            self._node.proxy.cut_sockets()
        handed_in = [self._hand_in() for _ in range(self._jobs_wanted)]
        if not {*_LOOKS, *_CATALOG}.isdisjoint(self._chosen):
            time.sleep(0.5)  # the worker looks by itself
        ended = [self._ended(job) for job in handed_in]
        self._node.proxy.rule, self._chosen = None, []
        self._judge([job for job in ended if job])
        self._come_back()
        with self._lock:
            self._report.rounds += 1

    def _hand_in(self) -> Job:
        """Hand a job in that the odd node is to have first."""
        graph = self._graph()
        request = Request(graph=graph, pool=POOL, inputs=_inputs_of(graph))
        submission, content = self._fleet._intake.check(request)
        job_id, _ = self._fleet._jobs.add(submission, **content._asdict())
        message = Message(job_id, 1, node_queue(self._node.name), submission.tier.priority)
        self._fleet._dispatch.send_all([message])
        with self._lock:
            self._report.jobs += 1
        return self._fleet.get(job_id)

    def _graph(self) -> dict[str, Any]:
        if self._may_fail:
            return raising("oom")
        graph = sleeping(0.03)
        graph["2"]["inputs"]["preview"] = True
        graph["4"] = {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}
        graph["3"]["inputs"]["images"] = ["1", 0]  # by core classes alone, so it has to list
        if "GET /history" in self._chosen:
            film = {"images": ["2", 0], "filename_prefix": "film", "batches": 2}
            graph["5"] = {"class_type": "ComfyFleetFilm", "inputs": film}
        else:
            graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "given.png"}}
        return graph

    @property
    def _may_fail(self) -> bool:
        return "POST /free" in self._chosen

    def _ended(self, job: Job) -> Job | None:
        try:
            ended = self._fleet.wait(job.id, timeout=_ENDS_WITHIN)
        except JobNotSucceeded as exc:
            ended = exc.job
            if not (self._may_fail or self._was_refused(ended)):
                self._complain(f"job {job.id} {ended.status}: {ended.cause}: {exc}")
        except WaitTimeout:
            with self._lock:
                self._report.jobs_without_end += 1
            self._complain(f"job {job.id} has no end: {self._fleet.get(job.id)}")
            return None
        return ended

    def _was_refused(self, job: Job) -> bool:
        """Tell whether the node, however oddly, said that it is the graph."""
        return job.cause == "invalid_graph" and "POST /prompt: refusal" in self._rule.told

    def _judge(self, ended: list[Job]) -> None:
        lost = [len(_lost(job)) for job in ended]
        with self._lock:
            report = self._report
            report.ends.update(str(job.status) for job in ended)
            report.causes.update(one.error.cause for job in ended for one in job.attempts)
            report.attempts_lost += sum(lost)
            report.attempts_lost_most = max(report.attempts_lost_most, *lost, 0)
            report.attempts_lost_most_a_round = max(report.attempts_lost_most_a_round, sum(lost))
        for job in ended:
            if len(_lost(job)) > MOST_LOST:
                self._complain(f"job {job.id} lost too many attempts: {_story(job)}")
            saved = {artifact.graph_node for artifact in job.artifacts}
            if job.status is JobStatus.SUCCEEDED and "3" not in saved:
                self._complain(f"job {job.id} succeeded without its picture")
            self._read(job)

    def _read(self, job: Job) -> None:
        """See the job as a person does."""
        try:
            with OUT.capture() as shown:
                show_job(job, waits_for=None)
            text = shown.get()
            json.loads(job.model_dump_json().encode())
        except Exception as exc:  # noqa: BLE001 - whatever it is, a person would see it
            self._complain(f"job {job.id} cannot be shown: {exc!r}", traceback=True)
            return
        if "Traceback" in text or not text.replace("\n", "").isprintable():
            self._complain(f"job {job.id} is shown as {text!r}", traceback=True)

    def _come_back(self) -> None:
        """See that the node serves again once it speaks as it should."""
        proxy = self._node.proxy
        looked = proxy.asked["GET /object_info"]
        if looked != self._looked:  # what it can run may have been read wrong
            proxy.rule = Rule(self._chance, (), dict.fromkeys(_LOOKS, "OK"))
        else:
            looked = -1
        deadline = time.monotonic() + _BACK_WITHIN_S
        while time.monotonic() < deadline:
            time.sleep(0.05)
            node = found(self._fleet, self._node.name)
            if node.state is NodeState.BLOCKED:
                break
            if node.state is not NodeState.READY or proxy.asked["GET /object_info"] == looked:
                continue
            if not node.reason.startswith("on trial"):
                proxy.rule = None
                return
            trial = self._ended(self._hand_in())
            self._judge([trial] if trial else [])
        with self._lock:
            self._report.nodes_blocked += 1
        self._complain(f"not back: {found(self._fleet, self._node.name)}")

    def _complain(self, what: str, *, traceback: bool = False) -> None:
        with self._lock:
            self._report.tracebacks += traceback
            told = ", ".join(self._rule.told[:20])
            self._report.broken.append(f"{self._name} ({told}): {what[:2_000]}")


def _inputs_of(graph: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a picture that no node has yet, if the graph reads one."""
    reads = graph["1"]["class_type"] == "LoadImage"
    return {"1.image": picture((8 + fresh_nonce() % 500, 8))} if reads else {}


def _lost(job: Job) -> list[Attempt]:
    """Return the attempts that odd answers cost; a graph of its own may run out of memory."""
    return [one for one in job.attempts if one.error.cause != "out_of_memory"]


def _story(job: Job) -> str:
    return "; ".join(
        f"{one.node}: {one.error.cause}: {one.error.message[:200]}" for one in job.attempts
    )
