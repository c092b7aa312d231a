"""`python -m tests.chaos.handing_in JOURNAL POOL JOB`: hand one job in, if one lives to see it."""

from __future__ import annotations

import sys
from pathlib import Path

from producer.contract.settings import load_settings
from tests.chaos import workload
from tests.chaos.client import JournalingClient


def main(journal: str, pool: str, job: str) -> None:
    """Submit a sleeper under the id *job*, with the settings of the environment."""
    with JournalingClient(load_settings(), Path(journal)) as client:
        client.submit(workload.sleep(0.1, nonce=7), key=job, job_id=job, pool=pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
