"""The second half of the enumeration: a process dies at each of the product's crash points."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from producer.contract.crashpoints import CRASHPOINTS
from producer.contract.ids import new_job_id
from tests.chaos.enumeration import handing_in
from tests.chaos.enumeration.lanes import Enumeration, enumeration
from tests.chaos.enumeration.life import Lane, Life
from tests.chaos.enumeration.lives import LIVES, life_named
from tests.chaos.enumeration.outcomes import Outcome, report
from tests.chaos.enumeration.recording import record_cases
from tests.chaos.fleet.members import Member
from tests.chaos.fleet.options import TREE
from tests.chaos.fleet.processes import KeptProcess

_VARIABLE: Final = "COMFYFLEET_CRASHPOINT"
_KILLED: Final = 137
#: A process may die only after its job has succeeded; its end is known a moment later, s.
_DIES_S: Final = 3.0
#: Senders that have just been started come to what is to be told after a while, s.
_TELLS_S: Final = 60.0

#: In which life a crash point is passed, by how its name begins; the others in a plain one.
_LIFE_OF: Final = {
    "requeue.": "failing",
    "jobs.": "returning",
    "upkeep.": "overtaken",
    "batch.": "row",
    "action.": "acted on",
}
_PRODUCERS: Final = ("submit.", "batch.added")
#: Of who tells webhooks; a process of the API passes those of any producer, too.
_SENDERS: Final = "webhook."
_OVER_HTTP: Final = {"submit.": "over HTTP", "batch.added": "rows over HTTP"}
#: Of whichever worker sweeps at the time.
_UPKEEPS: Final = ("upkeep.", "batch.fed", "action.")


class Crashes:
    """Lets a job live with each crash point armed."""

    def __init__(self, enumeration: Enumeration) -> None:
        self._enumeration = enumeration
        self._fleet = enumeration.fleet

    def run(self) -> None:
        """Run them all: those of a worker side by side, those of upkeep alone on the fleet, and then those of the web."""
        alone = [name for name in CRASHPOINTS if name.startswith(_UPKEEPS)]
        web = [name for name in CRASHPOINTS if name.startswith((_SENDERS, *_OVER_HTTP))]
        beside = [
            name for name in CRASHPOINTS if name not in alone and not name.startswith(_SENDERS)
        ]
        self._enumeration.share_out(beside, self._one)
        for name in web:
            with self._enumeration.struck(name, "all"):
                self._enumeration.outcomes.append(self._of_web(name))
        for name in alone:
            with self._enumeration.struck(name, "all"):
                self._enumeration.outcomes.append(self._of_upkeep(name))

    def _one(self, lane: Lane, name: str) -> Outcome:
        """Try every life until one passes the crash point, the likely one first."""
        for life in _lives_of(name):
            with self._enumeration.struck(name, lane.member.name):
                outcome = (
                    self._of_producer(lane, name)
                    if name.startswith(_PRODUCERS)
                    else self._of_worker(lane, name, life)
                )
            if outcome.struck or not outcome.is_fine:
                break
        return outcome

    def _of_worker(self, lane: Lane, name: str, life: Life) -> Outcome:
        armed = {_VARIABLE: name}
        if life.name == "returning":  # its own kill brings the successor that is to die
            lane.member.worker.arm(armed)
        else:
            self._fleet.restart_worker(lane.member, environment=armed)
        began = time.time()
        outcome = self._enumeration.live(lane, life, str(new_job_id()))
        return _judged(outcome, name, lane, [lane.member], began)

    def _of_upkeep(self, name: str) -> Outcome:
        """Arm every worker: any of them may be the one that sweeps."""
        lane, *_ = self._enumeration.lanes
        members = [lane.member for lane in self._enumeration.lanes]
        self._restart(members, {_VARIABLE: name})
        began = time.time()
        outcome = self._enumeration.live(lane, next(_lives_of(name)), str(new_job_id()))
        _judged(outcome, name, lane, members, began)
        self._restart(members, {})  # those that did not sweep are armed still
        return outcome

    def _of_web(self, name: str) -> Outcome:
        """Kill the process of the API, or the senders; its successor is to die at the crash point."""
        lane, web = self._enumeration.lanes[0], self._fleet.web
        [process] = web.senders if name.startswith(_SENDERS) else web.api
        lane.wait(lambda: process.pid)  # or it would be starting, unarmed, and could not be killed
        process.arm({_VARIABLE: name})
        process.kill()
        began = time.time()
        life = next(
            (life for part, life in _OVER_HTTP.items() if name.startswith(part)), "over HTTP"
        )
        outcome = self._enumeration.live(lane, life_named(life), str(new_job_id()))
        outcome.struck = lane.wait(lambda: _has_died([process], began), within_s=_TELLS_S)
        outcome.case = f"crash at {name}, {process.name}"
        web.wait_ready()
        return outcome

    def _restart(self, members: Sequence[Member], environment: Mapping[str, str]) -> None:
        restart = partial(self._fleet.restart_worker, environment=environment)
        with ThreadPoolExecutor(len(members)) as threads:
            list(threads.map(restart, members))

    def _of_producer(self, lane: Lane, name: str) -> Outcome:
        """Hand it in from a process that dies, and ask for a batch again: it was not accepted."""
        job = str(new_job_id())
        is_batch = name.startswith("batch.")
        began = time.monotonic()
        code = self._hand_in("row" if is_batch else "job", lane, job, name)
        if is_batch:
            with self._enumeration.client(lane) as client:
                (job,) = client.submit_rows_surely(
                    [handing_in.work(job)],
                    key=job,
                    blanks=handing_in.BLANKS,
                    pool=lane.member.pool,
                )
        status = lane.wait_end(job)
        return Outcome(
            case=f"crash at {name}",
            job=job,
            struck=code == _KILLED,
            status=status,
            recovered=lane.wait_well(),
            seconds=round(time.monotonic() - began, 2),
            is_fine=status == "succeeded",
        )

    def _hand_in(self, what: str, lane: Lane, job: str, crashpoint: str) -> int:
        """Hand in from another process, with a crash point armed; return its exit code."""
        command = (sys.executable, "-m", handing_in.__name__, what, lane.member.pool, job)
        done = subprocess.run(
            (*command, str(self._enumeration.journal)),
            env={**self._fleet.environment(lane.producer), _VARIABLE: crashpoint},
            cwd=TREE,
            check=False,
        )
        return done.returncode


def enumerate_all(folder: Path) -> dict[str, Any]:
    """Strike every site and every crash point on a fleet of its own; return the report as JSON."""
    began = time.monotonic()
    with enumeration(folder) as running:
        running.run(record_cases(running))
        Crashes(running).run()
        running.judge()
    return report(running.outcomes, seconds=time.monotonic() - began)


def _lives_of(name: str) -> Iterator[Life]:
    """Yield the life that is known to pass a crash point, twice, and then the others."""
    fitting = (life for begin, life in _LIFE_OF.items() if name.startswith(begin))
    likely = life_named(next(fitting, "plain"))
    yield from (likely, likely)
    yield from (life for life in LIVES if life is not likely)


def _judged(
    outcome: Outcome, name: str, lane: Lane, members: Sequence[Member], began: float
) -> Outcome:
    """Note whether one of *members* died of itself since *began*."""
    workers = [member.worker for member in members]
    outcome.case = f"crash at {name}"
    outcome.struck = lane.wait(lambda: _has_died(workers, began), within_s=_DIES_S)
    outcome.recovered = lane.wait_well()
    return outcome


def _has_died(processes: Sequence[KeptProcess], began: float) -> bool:
    ends = (end for process in processes for end in process.ends if end.at > began)
    return any(end.code == _KILLED and not end.by_us for end in ends)
