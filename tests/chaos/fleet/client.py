"""The client of the fleet under test: it writes down what it asked for and what it was told.

Its journal is all that the checker knows of the client's side; see `tests/chaos/checker`.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetError, JobNotFound, KeyReused
from producer.contract.ids import JobId, new_job_id, row_id
from tests.chaos.fleet.workload import Work

_TRY_AGAIN_S: Final = 0.3
#: A row that names a graph node which is not there.
_BLANK: Final = {"no such graph node.seed": 0}

T = TypeVar("T")


class JournalingClient:
    """Hands jobs in and asks for their end; threads may share it.

    Args:
        journal: JSON lines are appended to it.
    """

    def __init__(self, settings: Settings, journal: Path) -> None:
        self._producer = Producer(settings)
        self._intake = _PresetIntake(self._producer._intake)
        self._producer._intake = self._intake
        self._lock = threading.Lock()
        self._journal = journal.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()
        self._journal.close()

    def submit(
        self, work: Work, *, key: str, job_id: str | None = None, batch: str = "", **where: Any
    ) -> str | None:
        """Hand a job in once; return its id, or None when there was no answer.

        Args:
            key: idempotency key; the same one again asks for the same job.
            job_id: the id it gets if it is new.
            where: `pool`, `tier` and so on, as `Producer.submit` takes them.
        """
        self._intake.preset(id=JobId(job_id or new_job_id()), batch=batch or None)
        said = {"do": "submit", "key": key, "batch": batch, "expects": work.expects}
        said |= {name: str(value) for name, value in where.items()}
        # Before it is asked for: the client, too, may die in between.
        self._write(said | {"answer": "asked", "job": None})
        try:
            job = self._producer.submit(
                work.graph,
                params=work.params,
                inputs=work.inputs,
                idempotency_key=key,
                **where,
            )
        except KeyReused as exc:
            self._write(said | {"answer": "key reused", "job": exc.job_id})
        except (FleetError, JobNotFound) as exc:
            self._write(said | {"answer": "unknown", "job": None, "why": str(exc)})
        except Exception as exc:  # noqa: BLE001 - not promised, which the checker says
            self._write(said | {"answer": "raised", "job": None, "why": repr(exc)})
        else:
            self._write(said | {"answer": "accepted", "job": job.id})
            return job.id
        return None

    def submit_surely(self, work: Work, *, within_s: float = 60, **how: Any) -> str:
        """Hand a job in as often as it takes, under one key, as a careful client does.

        Raises:
            TimeoutError: nobody took it.
        """
        how.setdefault("key", str(uuid.uuid4()))
        return _surely(lambda: self.submit(work, **how), within_s)

    def submit_rows(
        self, works: Sequence[Work], *, key: str, blanks: int = 0, **where: Any
    ) -> list[str] | None:
        """Hand in a batch once; return its jobs' ids, or None when there was no answer.

        Args:
            works: one a row; all have the same graph.
            blanks: rows before them of which no job can be made.
        """
        try:
            batch = self._producer.submit_many(
                works[0].graph,
                [*[_BLANK] * blanks, *(dict(work.params) for work in works)],
                idempotency_key=key,
                skip_invalid=blanks > 0,
                **where,
            )
        except FleetError:
            return None
        except Exception as exc:  # noqa: BLE001 - not promised, which the checker says
            said = {"do": "submit", "key": key, "batch": key, "expects": {}}
            self._write(said | {"answer": "raised", "job": None, "why": repr(exc)})
            return None
        jobs = [
            str(row_id(batch.id, number)) for number in range(blanks + 1, blanks + len(works) + 1)
        ]
        for job, work in zip(jobs, works, strict=True):
            said = {"do": "submit", "key": job, "batch": batch.id, "expects": work.expects}
            self._write(said | {"answer": "accepted", "job": job})
        return jobs

    def submit_rows_surely(
        self, works: Sequence[Work], *, within_s: float = 60, **how: Any
    ) -> list[str]:
        """Hand in a batch as often as it takes; return and raise as `submit_surely`."""
        return _surely(lambda: self.submit_rows(works, **how), within_s)

    def cancel(self, job_id: str) -> str:
        """Ask for a job's end once; return the answer, or `unknown`."""
        try:
            answer = str(self._producer.cancel(job_id))
        except FleetError:
            answer = "unknown"
        self._write({"do": "cancel", "job": job_id, "answer": answer})
        return answer

    def _write(self, said: dict[str, Any]) -> None:
        with self._lock:
            self._journal.write(json.dumps({"at": time.time(), **said}) + "\n")
            self._journal.flush()


def _surely(submit: Callable[[], T | None], within_s: float) -> T:
    deadline = time.monotonic() + within_s
    while (made := submit()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody took it for {within_s:g} s")
        time.sleep(_TRY_AGAIN_S)
    return made


class _PresetIntake:
    """Gives the next submission of each thread what `Producer.submit` does not let one choose."""

    def __init__(self, intake: Any) -> None:
        self._intake = intake
        self._wanted = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._intake, name)

    def preset(self, **fields: Any) -> None:
        self._wanted.fields = fields

    def check(self, request: Any) -> Any:
        submission, template = self._intake.check(request)
        return replace(submission, **self._wanted.fields), template
