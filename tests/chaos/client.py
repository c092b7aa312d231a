"""The client of the fleet under test: it writes down what it asked for and what it was told.

Its journal is all that the checker knows of the client's side; see `tests/chaos/checker`.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from producer.client import Producer
from producer.contract.errors import FleetError, JobNotFound, KeyReused
from producer.contract.ids import JobId, new_job_id
from producer.contract.settings import Settings
from tests.chaos.workload import Work

_TRY_AGAIN_S: Final = 0.3


class JournalingClient:
    """Hands jobs in and asks for their end; threads may share it.

    Args:
        journal: JSON lines are appended to it.
    """

    def __init__(self, settings: Settings, journal: Path) -> None:
        self._producer = Producer(settings)
        self._intake = _ShapedIntake(self._producer._intake)
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
        self._intake.shape(id=JobId(job_id or new_job_id()), batch=batch or None)
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
        deadline = time.monotonic() + within_s
        while (job_id := self.submit(work, **how)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody took the job for {within_s:g} s")
            time.sleep(_TRY_AGAIN_S)
        return job_id

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


class _ShapedIntake:
    """Gives the next submission of each thread what `Producer.submit` does not let one choose."""

    def __init__(self, intake: Any) -> None:
        self._intake = intake
        self._wanted = threading.local()

    def shape(self, **fields: Any) -> None:
        self._wanted.fields = fields

    def check(self, request: Any) -> Any:
        submission, template = self._intake.check(request)
        return replace(submission, **self._wanted.fields), template
