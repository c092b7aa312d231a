"""Sites: the places in a job's life where a connection can break, listed by watching one life."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.checker.history import prompt_id
from tests.chaos.proxy.rules import Fault, Rule

#: Of whom nothing is counted but that it happens: they come as time passes or as steps are told.
BY_TIME: Final = "WS "
#: What every new connection begins with, in whatever order threads open theirs.
_HANDSHAKE: Final = frozenset({"HELLO", "CLIENT", "AUTH", "SELECT"})
#: What the broker does with each message. As with upkeep's and timers' calls, which name no job, a
#: later one of the same life goes the same way.
_BROKERS: Final = frozenset({"BRPOP queue message", "HSET unacked"})
_ALIKE_MOST: Final = 2
#: What a producer asks before and after a change: cut, each raises the same to the same caller.
_READS: Final = ("GET ", "HGET ", "HGETALL ", "HMGET ", "ZRANGE ", "LRANGE ", "EXISTS ")
#: Equal commands so soon after each other were sent in one go, s.
_PIPELINED_S: Final = 0.002

#: How the edges of what serves all lanes are called: the API, senders of webhooks, their receiver.
OF_WEB: Final = ("api", "hooks", "receiver")
#: Of senders' looks, the one that takes the end of a job is one of the first in its life.
_LOOKS: Final = {"EVALSHA outbox_take": 4}
#: What they do by chance, or at first only: checks of silent connections, declarations of queues, and looks at the
#: nodes, which the API keeps for a while.
_BY_CHANCE: Final = (
    *("PING", "SCRIPT", "TIME", "SADD _kombu"),
    *("HGET node", "HMGET node", "ZRANGE nodes"),
)

#: More attempts no enumerated job has.
_ATTEMPTS: Final = 5

#: A request's name on an edge of some role, as `("worker.node", "POST /prompt")`.
Call = tuple[str, str]


@dataclass(frozen=True, order=True)
class Site:
    """The *nth* request of its name on one edge, in any life that has so many.

    Args:
        edge: `producer.redis`, `worker.node` and so on: of one lane, whichever it is; `api.redis`, `hooks.redis` and
            so on of what serves all of them.
        about: only requests that name the job, or one of its prompts, are counted, whichever
            worker sends them.
    """

    edge: str
    request: str
    nth: int
    about: bool

    @property
    def call(self) -> Call:
        """What is called, whichever time it is."""
        return self.edge, self.request

    def rule(
        self, *, worker: str, producer: str, ids: Iterable[str], after: bool, fault: Fault
    ) -> Rule:
        """Return the rule that strikes here, for the lane of this worker and this producer.

        Args:
            worker, producer: names or shell patterns of names.
        """
        role, _, server = self.edge.partition(".")
        who = {"worker": worker, "producer": producer}.get(role, f"{role}*")
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


def ids_of(job: str) -> list[str]:
    """Return the ids that requests about a job may name: its own and those of its prompts."""
    return [job, *(prompt_id(job, attempt) for attempt in range(1, _ATTEMPTS + 1))]


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
        is_about = is_about and not who.startswith(OF_WEB)
        role = {worker: "worker", producer: "producer"}.get(who, "worker" if is_about else None)
        if role is None:
            continue
        edge, request = f"{role}.{server}", entry["request"]
        one_for_all = request in chatter or request in _HANDSHAKE or request.startswith(BY_TIME)
        is_about = is_about and not one_for_all and role == "worker"
        first = Site(edge, request, 1, is_about)
        seen[first] += 1
        is_read = edge == "producer.redis" and request.startswith(_READS)
        is_alike = is_read or (edge == "worker.redis" and (not is_about or request in _BROKERS))
        most = 1 if one_for_all else _ALIKE_MOST if is_alike else seen[first]
        seen[first] = min(most, seen[first])
    return [
        Site(site.edge, site.request, nth, site.about)
        for site, count in seen.items()
        for nth in range(1, count + 1)
    ]


def sites_of_web(log: Iterable[dict[str, Any]], *, lanes: int) -> list[Site]:
    """Return the sites of what served all of some *lanes*, of which each lived the same life at the same time.

    Which lane's call comes first is chance, so one site stands for all of a name.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for entry in log:
        who, _, server = entry["edge"].partition(".")
        role = next((role for role in OF_WEB if who.startswith(role)), None)
        request = entry["request"]
        if role and request not in _HANDSHAKE and not request.startswith(_BY_CHANCE):
            seen[f"{role}.{server}", request] += 1
    return [
        Site(edge, request, nth, about=False)
        for (edge, request), count in seen.items()
        if count >= lanes
        for nth in range(1, _LOOKS.get(request, 1) + 1)
    ]


def calls_of(
    log: Iterable[dict[str, Any]], *, workers: Collection[str], producers: Collection[str]
) -> set[Call]:
    """Return all that these workers and producers called."""
    roles = dict.fromkeys(workers, "worker") | dict.fromkeys(producers, "producer")
    places = ((*entry["edge"].split("."), entry["request"]) for entry in log)
    return {(f"{roles[who]}.{server}", request) for who, server, request in places if who in roles}


def _pipelines_as_one(log: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Leave out the repetitions within a pipeline: they are on the way together."""
    last: dict[str, dict[str, Any]] = {}
    for entry in log:
        before = last.get(entry["edge"])
        last[entry["edge"]] = entry
        is_repeated = before is not None and before["request"] == entry["request"]
        if not (is_repeated and entry["at"] - before["at"] < _PIPELINED_S):
            yield entry
