"""The second half of the enumeration: a process dies at each of the product's crash points."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from producer.contract.crashpoints import CRASHPOINTS
from producer.contract.ids import new_job_id
from tests.chaos.enumeration import TRIES, Enumeration, Outcome, enumeration, report
from tests.chaos.fleet import TREE, Member
from tests.chaos.lives import Lane, Life, life_named

_VARIABLE: Final = "COMFYFLEET_CRASHPOINT"
_KILLED: Final = 137
#: A process may die only after its job has succeeded; its end is known a moment later, s.
_DIES_S: Final = 3.0

#: In which life a crash point is passed, by how its name begins; the others in a plain one.
_LIFE_OF: Final = {
    "requeue.": "failing",
    "jobs.": "returning",
    "upkeep.": "overtaken",
}
_PRODUCERS: Final = "submit."
_UPKEEPS: Final = "upkeep."


class Crashes:
    """Lets a job live with each crash point armed."""

    def __init__(self, enumeration: Enumeration) -> None:
        self._enumeration = enumeration
        self._fleet = enumeration.fleet

    def run(self) -> None:
        """Run them all: those of a worker side by side, those of upkeep alone on the fleet."""
        alone = [name for name in CRASHPOINTS if name.startswith(_UPKEEPS)]
        self._enumeration.share_out([name for name in CRASHPOINTS if name not in alone], self._one)
        for name in alone:
            self._enumeration.outcomes.append(self._of_upkeep(name))

    def _one(self, lane: Lane, name: str) -> Outcome:
        for _ in range(TRIES):
            outcome = self._once(lane, name)
            if outcome.struck or not outcome.is_fine:
                break
        return outcome

    def _once(self, lane: Lane, name: str) -> Outcome:
        return (
            self._of_producer(lane, name)
            if name.startswith(_PRODUCERS)
            else self._of_worker(lane, name)
        )

    def _of_worker(self, lane: Lane, name: str) -> Outcome:
        life = _life_of(name)
        armed = {_VARIABLE: name}
        if life.name == "returning":  # its own kill brings the successor that is to die
            lane.member.worker.arm(armed)
        else:
            self._fleet.restart_worker(lane.member, environment=armed)
        began = time.time()
        outcome = self._enumeration.live(lane, life, str(new_job_id()))
        return _judged(outcome, name, lane, [lane.member], began)

    def _of_upkeep(self, name: str) -> Outcome:
        """Arm every other worker: any of them may be the one that sweeps."""
        lane, *others = self._enumeration.lanes
        members = [other.member for other in others]
        for member in members:
            self._fleet.restart_worker(member, environment={_VARIABLE: name})
        began = time.time()
        outcome = self._enumeration.live(lane, _life_of(name), str(new_job_id()))
        _judged(outcome, name, lane, members, began)
        for member in members:  # those that did not sweep are armed still
            self._fleet.restart_worker(member, environment={})
        return outcome

    def _of_producer(self, lane: Lane, name: str) -> Outcome:
        """Hand the job in from a process that dies; nobody asks for it again."""
        job = str(new_job_id())
        began = time.monotonic()
        handing_in = subprocess.run(
            (
                *(sys.executable, "-m", "tests.chaos.handing_in"),
                *(str(self._enumeration.journal), lane.member.pool, job),
            ),
            env={**self._fleet.environment(lane.producer), _VARIABLE: name},
            cwd=TREE,
            check=False,
        )
        status = lane.wait_end(job)
        return Outcome(
            case=f"crash at {name}",
            job=job,
            struck=handing_in.returncode == _KILLED,
            status=status,
            recovered=lane.wait_well(),
            seconds=round(time.monotonic() - began, 2),
            is_fine=status == "succeeded",
        )


def enumerate_all(folder: Path) -> dict[str, Any]:
    """Strike every site and every crash point on a fleet of its own; return the report as JSON."""
    began = time.monotonic()
    with enumeration(folder) as running:
        running.run(running.record_cases())
        Crashes(running).run()
        running.judge()
    return report(running.outcomes, seconds=time.monotonic() - began)


def _life_of(name: str) -> Life:
    fitting = (life for begin, life in _LIFE_OF.items() if name.startswith(begin))
    return life_named(next(fitting, "plain"))


def _judged(
    outcome: Outcome, name: str, lane: Lane, members: Sequence[Member], began: float
) -> Outcome:
    """Note whether one of *members* died of itself since *began*."""

    def has_died() -> bool:
        ends = (end for member in members for end in member.worker.ends if end.at > began)
        return any(end.code == _KILLED and not end.by_us for end in ends)

    outcome.case = f"crash at {name}"
    outcome.struck = lane.wait(has_died, within_s=_DIES_S)
    outcome.recovered = lane.wait_well()
    return outcome
