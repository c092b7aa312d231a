"""Our own side of a storm, and the storm over it, with the checker's verdict."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.chaos.checker.verdict import summary
from tests.chaos.fleet.chaos_fleet import ChaosFleet, FleetOptions
from tests.chaos.fleet.ends import TO_DO, ended, is_done
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.landed_version import install
from tests.chaos.storm.storm import NODES, Storm, StormOptions

#: What has ended is packed so soon, s: during the storm, and while others may still be busy with it.
_PACK_ENDED_S: Final = 3.0
_DONE_WITHIN_S: Final = 60.0


class Product:
    """Our own side of a storm."""

    def __init__(self, fleet: ChaosFleet, evidence: Evidence, options: StormOptions) -> None:
        self._fleet = fleet
        self._evidence = evidence
        self._options = options

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Yield a client that keeps the journal; with two versions, each call is made by either."""
        with self._evidence.client() as present:
            if not self._options.landed_share:
                yield present
                return
            with self._evidence.landed_client() as landed:
                yield _EitherClient(present, landed, self._options)

    def ended(self, jobs: Sequence[str]) -> set[str]:
        """Return those of the jobs that have ended."""
        return ended(self._fleet.redis.client, jobs)

    def wait_well(self) -> None:
        """Wait until every worker takes work again, and what upkeep has to do is done, or never will be."""
        for member in self._fleet.members:
            self._fleet.wait_ready(member, within_s=60)
        deadline = time.monotonic() + _DONE_WITHIN_S
        while time.monotonic() < deadline and not is_done(self._fleet.redis.client, *TO_DO):
            time.sleep(0.2)


class _EitherClient:
    """Each call goes to the client of the landed version, or to that of this one."""

    def __init__(self, present: Any, landed: Any, options: StormOptions) -> None:
        self._present = present
        self._landed = landed
        self._share = options.landed_share
        self._chance = random.Random(f"{options.seed}/client")

    def __getattr__(self, name: str) -> Any:
        is_landed = self._chance.random() < self._share
        return getattr(self._landed if is_landed else self._present, name)


def run_storm(options: StormOptions, folder: Path) -> dict[str, Any]:
    """Run a storm on a fleet of its own and return the verdict as JSON."""
    began = time.monotonic()
    fleet_options = FleetOptions(
        directory=folder / "fleet",
        pools=("default",) * NODES,
        landed=install(folder / "landed").commands / "python" if options.landed_share else None,
        landed_share=options.landed_share,
        settings={"pack_ended_s": str(_PACK_ENDED_S)},
    )
    with (
        ChaosFleet(fleet_options) as fleet,
        Evidence(fleet, folder / "evidence") as evidence,
    ):
        quiet_s = Storm(options, fleet, evidence, Product(fleet, evidence, options)).run()
        evidence.collect()
    verdict = summary(evidence.folder)
    faults = Counter(evidence.strikes())
    return {
        "seed": options.seed,
        "is_enough": verdict["jobs"] >= options.jobs and faults.total() >= options.faults,
        **verdict,
        "faults": faults.total(),
        "faults_by_kind": dict(faults.most_common()),
        "quiet_s": round(quiet_s, 1),
        "seconds": round(time.monotonic() - began),
    }
