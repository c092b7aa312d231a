"""The client of the fleet under test: it writes down what it asked for and what it was told.

Its journal is all that the checker knows of the client's side; see `tests/chaos/checker`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.errors import (
    FleetError,
    FleetUnreachable,
    InvalidJob,
    JobNotFound,
    KeyReused,
)
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.ids import JobId, new_job_id, row_id
from producer.store.outbox import Outbox
from tests.chaos.fleet.journal import Journal, said_of, surely
from tests.chaos.fleet.operations import OperationCalls
from tests.chaos.fleet.presets import PresetBatches, PresetIntake
from tests.chaos.fleet.workload import Work

#: A row that names a graph node which is not there.
_BLANK: Final = {"no such graph node.seed": 0}
#: Ends that are told in one go, and how long that may take before somebody else may tell them.
_TOLD_AT_ONCE: Final = 10
_TELLS_WITHIN: Final = timedelta(seconds=3)


class JournalingClient(OperationCalls):
    """Hands jobs in and asks for their end; threads may share it.

    Args:
        journal: JSON lines are appended to it.
    """

    def __init__(self, settings: Settings, journal: Path) -> None:
        self._producer = Producer(settings)
        self._intake = PresetIntake(self._producer._intake)
        self._producer._intake = self._intake
        self._batches = PresetBatches(self._producer._batches)
        self._producer._batches = self._batches
        self._outbox = Outbox(self._producer._redis)
        self.journal = Journal(journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()
        self.journal.close()

    def submit(
        self,
        work: Work,
        *,
        key: str,
        job_id: str | None = None,
        batch: str = "",
        hook: str = "",
        **where: Any,
    ) -> str | None:
        """Hand a job in once; return its id, or None when there was no answer.

        Args:
            key: idempotency key; the same one again asks for the same job.
            job_id: the id it gets if it is new.
            hook: who wants to hear of its end.
            where: `pool`, `tier` and so on, as `Producer.submit` takes them.
        """
        self._intake.preset(id=JobId(job_id or new_job_id()), batch=batch or None, hook=hook)
        said = said_of(work, key=key, batch=batch, hook=hook, **where)
        # Before it is asked for: the client, too, may die in between.
        self.journal.write(said | {"answer": "asked", "job": None})
        try:
            job = self._producer.submit(
                NamedGraph(work.named) if work.named else work.graph,
                params=work.params,
                inputs=work.inputs,
                idempotency_key=key,
                **where,
            )
        except KeyReused as exc:
            self.journal.write(said | {"answer": "key reused", "job": exc.job_id})
        except (FleetError, JobNotFound) as exc:
            self.journal.write(said | {"answer": "unknown", "job": None, "why": str(exc)})
        except Exception as exc:  # noqa: BLE001 - not promised, which the checker says
            self.journal.write(said | {"answer": "raised", "job": None, "why": repr(exc)})
        else:
            self.journal.write(said | {"answer": "accepted", "job": job.id})
            return job.id
        return None

    def submit_surely(self, work: Work, *, within_s: float = 60, **how: Any) -> str:
        """Hand a job in as often as it takes, under one key, as a careful client does.

        Raises:
            TimeoutError: nobody took it.
        """
        how.setdefault("key", str(uuid.uuid4()))
        return surely(lambda: self.submit(work, **how), within_s)

    def submit_rows(
        self, works: Sequence[Work], *, key: str, blanks: int = 0, hook: str = "", **where: Any
    ) -> list[str] | None:
        """Hand in a batch once; return its jobs' ids, or None when there was no answer.

        Args:
            works: one a row; all have the same graph.
            blanks: rows before them of which no job can be made.
            hook: who wants to hear of the end of all of them.
        """
        self._batches.preset(hook=hook)
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
            self.journal.write(said | {"answer": "raised", "job": None, "why": repr(exc)})
            return None
        jobs = [
            str(row_id(batch.id, number)) for number in range(blanks + 1, blanks + len(works) + 1)
        ]
        for job, work in zip(jobs, works, strict=True):
            said = said_of(work, key=job, batch=batch.id, **where)
            self.journal.write(said | {"answer": "accepted", "job": job})
        brake = {"max_failed": where["max_failed"]} if "max_failed" in where else {}
        self.journal.write({"do": "open", "batch": batch.id, "hook": hook, **brake})
        return jobs

    def submit_rows_surely(
        self, works: Sequence[Work], *, within_s: float = 60, **how: Any
    ) -> list[str]:
        """Hand in a batch as often as it takes; return and raise as `submit_surely`."""
        return surely(lambda: self.submit_rows(works, **how), within_s)

    def cancel(self, job_id: str) -> str:
        """Ask for a job's end once; return the answer, or `unknown`."""
        try:
            answer = str(self._producer.cancel(job_id))
        except FleetError:
            answer = "unknown"
        self.journal.write({"do": "cancel", "job": job_id, "answer": answer})
        return answer

    def retry_surely(self, job_id: str, work: Work, *, within_s: float = 60) -> str | None:
        """Have an ended job made again; return the id of the new one, None if it may not be."""

        def retry() -> tuple[str, str] | None:
            try:
                made = self._producer.retry(job_id)
            except (InvalidJob, JobNotFound):
                return ("", "")
            except FleetError:
                return None
            return made.id, made.owner

        made, owner = surely(retry, within_s)
        if made:
            said = said_of(work, key=made, batch="", owner=owner)
            self.journal.write(said | {"answer": "accepted", "job": made, "retry_of": job_id})
        return made or None

    def ask_surely(self, what: str, *about: Any, within_s: float = 60, **how: Any) -> None:
        """Call a method of the producer as often as it takes, until it is answered, or refused for good."""

        def ask() -> bool | None:
            try:
                getattr(self._producer, what)(*about, **how)
            except FleetUnreachable:
                return None
            except FleetError:
                return False
            return True

        surely(ask, within_s)

    def tell(self, *, settles: bool = True) -> int:
        """Tell some of the ends that are due; return how many were taken.

        Args:
            settles: whether it lives long enough to say so; else they fall due again.
        """
        taken = []
        with suppress(FleetError):
            taken = list(self._outbox.take_due(limit=_TOLD_AT_ONCE, within=_TELLS_WITHIN))
            for end in taken:
                said = {"do": "tell", "entry": end.entry}
                self.journal.write(said | {"answer": "taken"})
                if settles and self._outbox.done(end):
                    self.journal.write(said | {"answer": "done"})
        return len(taken)
