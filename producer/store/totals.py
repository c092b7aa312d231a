"""Totals: counters of the fleet that only rise, written by the scripts that end jobs and attempts.

`comfyfleet:totals` maps `<pool> <counter>` to a whole number. Jobs that are pinned to a node, and wait in its own
queue, have the pool "". The counters of a pool are

    ended <status> [<cause>]        jobs
    attempt <cause> <counts as>     attempts that ended without success
    rendered_ms                     what nodes rendered for it
    stage <stage> <bound, s>        jobs that succeeded and kept this bound as the first, or `more` if none
    stage <stage> ms                of all of them

`comfyfleet:recovered` maps `<pool> <kind>` to jobs that went on after something was lost, see `Recovery`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from producer.contract.jobs import JobStatus
from producer.contract.totals import PoolTotals
from producer.store import keys
from producer.store.connection import translated

if TYPE_CHECKING:
    from redis import Redis

_COUNTER: Final = re.compile(
    r"(?P<pool>[a-z0-9._-]*) (?:"
    rf"ended (?P<status>{'|'.join(JobStatus)})(?: (?P<cause>[a-z_]+))?"
    r"|attempt (?P<of>[a-z_]+) (?P<counts>charged|free|uncounted)"
    r"|(?P<rendered>rendered_ms)"
    r"|stage (?P<stage>[a-z]+) (?P<bound>ms|more|\d+(?:\.\d+)?))"
)
_RECOVERED: Final = re.compile(r"(?P<pool>[a-z0-9._-]*) (?P<kind>[a-z_]+)")
_COUNT: Final = re.compile(r"\d{1,18}")


class Totals:
    """Reads the counters.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def read(self) -> dict[str, PoolTotals]:
        """Return what each pool has counted; what cannot be read is left out.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.TOTALS)
            pipe.hgetall(keys.RECOVERED)
            found, recovered = pipe.execute()
        pools: dict[str, Any] = defaultdict(_nothing)
        for counter, text in sorted(found.items()):
            if (match := _COUNTER.fullmatch(str(counter))) and _COUNT.fullmatch(str(text)):
                _add(pools[match["pool"]], match, int(text))
        for counter, text in sorted(recovered.items()):
            if (match := _RECOVERED.fullmatch(str(counter))) and _COUNT.fullmatch(str(text)):
                pools[match["pool"]]["recovered"][match["kind"]] = int(text)
        for totals in pools.values():
            for stage in totals["stages"].values():
                stage["within"] = dict(sorted(stage["within"].items()))
        return {pool: PoolTotals.model_validate(totals) for pool, totals in pools.items()}

    def torn(self, *, mend: bool) -> Iterator[tuple[str, str]]:
        """Yield key and field of each counter that cannot be read; it is deleted if *mend*, and begins anew."""
        with translated(self._redis):
            for key, pattern in ((keys.TOTALS, _COUNTER), (keys.RECOVERED, _RECOVERED)):
                for counter, text in self._redis.hscan_iter(key, count=1000):
                    if not _is_counted(pattern, counter, text):
                        if mend:
                            self._redis.hdel(key, counter)
                        yield key, counter


def _is_counted(pattern: re.Pattern[str], counter: str, text: str) -> bool:
    return bool(pattern.fullmatch(counter) and _COUNT.fullmatch(text))


def _nothing() -> dict[str, Any]:
    return {
        "ended": defaultdict(dict),
        "attempts": defaultdict(dict),
        "recovered": {},
        "stages": defaultdict(lambda: {"within": {}}),
    }


def _add(pool: dict[str, Any], part: re.Match[str], count: int) -> None:
    if part["status"]:
        pool["ended"][part["status"]][part["cause"] or ""] = count
    elif part["of"]:
        pool["attempts"][part["of"]][part["counts"]] = count
    elif part["rendered"]:
        pool["rendered_s"] = count / 1000
    elif part["bound"] == "ms":
        pool["stages"][part["stage"]]["seconds"] = count / 1000
    else:
        bound = math.inf if part["bound"] == "more" else float(part["bound"])
        pool["stages"][part["stage"]]["within"][bound] = count
