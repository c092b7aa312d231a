"""Sites: the places in a job's life where a connection can break, listed by watching one life."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.rules import Fault, Rule

#: Of whom nothing is counted but that it happens: they come as time passes or as steps are told.
_BY_TIME: Final = "WS "
#: What every new connection begins with, in whatever order threads open theirs.
_HANDSHAKE: Final = frozenset({"HELLO", "CLIENT", "AUTH", "SELECT"})
#: What the broker does with each message, at its receipt and at its acknowledgement; a later
#: message of the same life goes the same way.
_BROKERS: Final = frozenset(
    {
        *("BRPOP queue message", "MULTI", "EXEC", "LLEN queue", "ZADD unacked_index"),
        *("HSET unacked", "ZREM unacked_index", "HDEL unacked"),
    }
)
_BROKERS_MOST: Final = 2
#: What belongs to no life: health checks of connections that were silent for long, scripts that
#: a Redis is told once, and kombu's look after messages of dead workers, which is done by one
#: worker of the fleet in turn and which nothing of ours relies on.
_NO_PART: Final = frozenset(
    {"PING", "SCRIPT", "SET unacked_mutex", "ZRANGE unacked_index", "EVALSHA script"}
)
#: Equal commands so soon after each other were sent in one go, s.
_PIPELINED_S: Final = 0.002


@dataclass(frozen=True, order=True)
class Site:
    """The *nth* request of its name on one edge, in any life that has so many.

    Args:
        edge: `producer.redis`, `worker.node` and so on: of one lane, whichever it is.
        about: only requests that name the job, or one of its prompts, are counted, whichever
            worker sends them.
    """

    edge: str
    request: str
    nth: int
    about: bool

    def rule(
        self, *, worker: str, producer: str, ids: Iterable[str], after: bool, fault: Fault
    ) -> Rule:
        """Return the rule that strikes here, for the lane of this worker and this producer."""
        role, _, server = self.edge.partition(".")
        who = {"worker": worker, "producer": producer}[role]
        if self.about and role == "worker":
            who = "n*"
        return Rule(
            edge=f"{who}.{server}",
            request=self.request,
            nth=self.nth,
            about=list(ids) if self.about else [],
            after=after,
            fault=fault,
        )

    def __str__(self) -> str:
        about = " about the job" if self.about else ""
        return f"{self.edge} {self.request} #{self.nth}{about}"


def sites_of(
    log: Iterable[dict[str, Any]],
    *,
    worker: str,
    producer: str,
    ids: Collection[str],
    chatter: Collection[str],
) -> list[Site]:
    """Return the sites of one recorded life, in order.

    Args:
        log: what the proxy recorded, as `{"edge", "request", "ids"}`.
        ids: the job and its prompts.
        chatter: requests that come without a job, too; one site stands for all of a name.
    """
    seen: Counter[Site] = Counter()
    for entry in _pipelines_as_one(log):
        who, _, server = entry["edge"].partition(".")
        is_about = bool(set(ids).intersection(entry["ids"])) and server == "redis"
        role = {worker: "worker", producer: "producer"}.get(who, "worker" if is_about else None)
        if role is None or entry["request"] in _NO_PART:
            continue
        edge, request = f"{role}.{server}", entry["request"]
        one_for_all = request in chatter or request in _HANDSHAKE or request.startswith(_BY_TIME)
        is_about = is_about and not one_for_all and role == "worker"
        first = Site(edge, request, 1, is_about)
        seen[first] += 1
        most = 1 if one_for_all else _BROKERS_MOST if request in _BROKERS else seen[first]
        seen[first] = min(most, seen[first])
    return [
        Site(site.edge, site.request, nth, site.about)
        for site, count in seen.items()
        for nth in range(1, count + 1)
    ]


def _pipelines_as_one(log: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Leave out the repetitions within a pipeline: they are on the way together."""
    last: dict[str, dict[str, Any]] = {}
    for entry in log:
        before = last.get(entry["edge"])
        last[entry["edge"]] = entry
        is_repeated = before is not None and before["request"] == entry["request"]
        if not (is_repeated and entry["at"] - before["at"] < _PIPELINED_S):
            yield entry
