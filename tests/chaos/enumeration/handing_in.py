"""`python -m tests.chaos.enumeration.handing_in WHAT POOL JOB JOURNAL`: hand one in, and perhaps die.

WHAT is `job` or `row`; a row is the last one of a batch under the idempotency key JOB.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from producer.contract.config.settings import load_settings
from tests.chaos.fleet import workload
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.workload import Work

#: Enough rows without a job before it that the batch does not fit into its last round trip.
BLANKS: Final = 100


def work(job: str) -> Work:
    """Return what is handed in as *job*: the same again is the same request."""
    return workload.sample(seed=int(job[-8:], 16))


def main(what: str, pool: str, job: str, journal: str) -> None:
    """Submit it with the settings of the environment."""
    with JournalingClient(load_settings(), Path(journal)) as client:
        if what == "job":
            client.submit(work(job), key=job, job_id=job, pool=pool)
        else:
            client.submit_rows([work(job)], key=job, blanks=BLANKS, pool=pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
