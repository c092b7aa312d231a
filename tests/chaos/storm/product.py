"""Our own side of a storm, and the storm over it, with the checker's verdict."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from tests.chaos.checker.verdict import summary
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.copies import ALLOWED, hurry
from tests.chaos.fleet.ends import TO_DO, ended, is_done
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.journal import surely
from tests.chaos.fleet.options import FleetOptions
from tests.chaos.landed_version import install
from tests.chaos.storm.stories import POOL_OF
from tests.chaos.storm.storm import Storm, StormOptions

#: What has ended is packed so soon, s: during the storm, and while others may still be busy with it.
_PACK_ENDED_S: Final = 3.0
#: A sender that died leaves what it took to others after 30 s, and one of a webhook that fails sends one at a time.
_DONE_WITHIN_S: Final = 120.0
_HURRIES_EVERY_S: Final = 2.0
#: Processes of the API, and of senders of webhooks.
_WEB: Final = 2
_TAKEN_WITHIN_S: Final = 180.0
#: Nodes that have the companion: with the landed version, the worker of one of them is of that.
_COMPANIONS: Final = (1, 2)
#: Pictures wait in its pool, as one takes longer to be encoded than many a prompt to run, s.
_ENCODE_S: Final = 0.15
#: What the API, the library and the landed library are asked in the same way.
_EVERY_WAY: Final = frozenset(
    {"cancel", "move", "act", "act_surely", "wish", "lift_surely", "ask_node"}
)
#: The landed API has an action under the owner of the key that asks, so that it is another one there.
_OTHERWISE: Final = frozenset({"act", "act_surely"})
#: What the landed library does not know, nor those of its actions that were stopped.
_NEW: Final = frozenset({"stop_action", "wait_action"})
#: What only looks, or is answered by a look.
_LOOKS: Final = frozenset({"made_again", "is_braked", "ask_surely"})


class Product:
    """Our own side of a storm."""

    has_stories: Final = True

    def __init__(self, fleet: ChaosFleet, evidence: Evidence, options: StormOptions) -> None:
        self._fleet = fleet
        self._evidence = evidence
        self._options = options

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Yield a client that keeps the journal; each call is made by one of its ways."""
        with ExitStack() as opened:
            present = opened.enter_context(self._evidence.client())
            http = self._evidence.http_client(present)
            landed = present
            if self._options.landed_share:
                landed = opened.enter_context(self._evidence.landed_client())
            yield _AnyClient(present, landed, http, self._options)

    def ended(self, jobs: Sequence[str]) -> set[str]:
        """Return those of the jobs that have ended."""
        return ended(self._fleet.redis.client, jobs)

    def wait_well(self) -> None:
        """Wait until every worker takes work again, and what is to be done with ends is done, or never will be."""
        for member in self._fleet.members:
            self._fleet.wait_ready(member, within_s=60)
        deadline = time.monotonic() + _DONE_WITHIN_S
        while time.monotonic() < deadline and not is_done(self._fleet.redis.client, *TO_DO):
            self._fleet.web.try_to_hurry()
            hurry(self._fleet.redis.client)
            time.sleep(_HURRIES_EVERY_S)


class _AnyClient:
    """Each call goes to the client of the landed version, to that of this one, or over HTTP.

    What is asked again under its key goes the same way as before, to HTTP or past it: a job of the library may be of a
    batch, which one of the API is not. So does what an owner asks who has no access key.
    """

    def __init__(self, present: Any, landed: Any, http: Any, options: StormOptions) -> None:
        self._present = present
        self._landed = landed
        self._http = http
        self._options = options
        self._chance = random.Random(f"{options.seed}/client")

    def submit(self, work: Any, **how: Any) -> Any:
        return self._of(how).submit(work, **how)

    def submit_surely(self, work: Any, **how: Any) -> Any:
        return self._of(how).submit_surely(work, **how)

    def submit_rows_surely(self, rows: Any, **how: Any) -> Any:
        return self._of(how).submit_rows_surely(rows, **how)

    def name_graph_surely(self, name: str, work: Any, *, owner: str) -> None:
        surely(lambda: self._any().name_graph(name, work, owner=owner), _TAKEN_WITHIN_S)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._way_of(name), name)

    def _way_of(self, name: str) -> Any:
        is_mixed = self._options.landed_share > 0
        if name in _LOOKS:
            return self._present
        if name in _NEW:
            return self._http if self._is_http() else self._present
        if name in _EVERY_WAY and not (is_mixed and name in _OTHERWISE):
            return self._any()
        return self._library()

    def _of(self, how: Mapping[str, Any]) -> Any:
        is_http = random.Random(how["key"]).random() < self._options.http_share
        return self._http if is_http and self._http.knows(how["owner"]) else self._library()

    def _any(self) -> Any:
        return self._http if self._is_http() else self._library()

    def _is_http(self) -> bool:
        return self._chance.random() < self._options.http_share

    def _library(self) -> Any:
        is_landed = self._chance.random() < self._options.landed_share
        return self._landed if is_landed else self._present


def run_storm(options: StormOptions, folder: Path) -> dict[str, Any]:
    """Run a storm on a fleet of its own and return the verdict as JSON."""
    began = time.monotonic()
    fleet_options = FleetOptions(
        directory=folder / "fleet",
        pools=tuple(POOL_OF.values()),
        can_restart=True,
        landed=install(folder / "landed").commands / "python" if options.landed_share else None,
        landed_share=options.landed_share,
        settings={"pack_ended_s": str(_PACK_ENDED_S), **ALLOWED},
        web=_WEB,
        companions=_COMPANIONS,
        encode_seconds=_ENCODE_S,
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
