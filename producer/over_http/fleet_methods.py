"""Methods for what waits, owners, totals, nodes and moves; `producer.http_client.HttpProducer` inherits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

from producer.contract.arguments import checked, job_id_of, names_of
from producer.contract.errors import BatchNotFound, InvalidJob
from producer.contract.filters.query import Filter
from producer.contract.graph.json_values import printable, short
from producer.contract.ids import BatchId, parse_batch_id
from producer.contract.nodes import Node, NodeTimes, Pool
from producer.contract.owners import OwnerUsage, owner_named
from producer.contract.queue_lines import QueueLine
from producer.contract.queues import Tier, is_name
from producer.contract.totals import PoolTotals
from producer.intake.request import as_tier
from producer.over_http.answers import each
from producer.over_http.connection import Connection

T = TypeVar("T")

#: Characters of a batch's name.
_LONGEST_NAME: Final = 256


class HttpFleetMethods:
    """The methods of `HttpProducer` for the fleet as a whole. Nodes, queue and totals need the scope `operate`."""

    _connection: Connection

    def queue(self) -> list[QueueLine]:
        """Return what waits, by pool, tier and reason; as of `Producer.queue`."""
        return self._connection.read(each(QueueLine, "lines"), "GET", "/v1/queue")

    def totals(self) -> dict[str, PoolTotals]:
        """Return what each pool has counted since its first job; as of `Producer.totals`."""
        return self._connection.read(_totals, "GET", "/v1/totals")

    def owner(self, name: str) -> OwnerUsage:
        """Return what an owner has and has used: the key's own, or with the scope `operate` anybody."""
        return self._connection.read(OwnerUsage.model_validate, "GET", _owner_path(name))

    def owners(self) -> list[OwnerUsage]:
        """Return the same of every owner; without the scope `operate` of the key's own alone."""
        return self._connection.read(each(OwnerUsage, "owners"), "GET", "/v1/owners")

    def limit_owner(self, name: str, *, max_waiting: int | None) -> OwnerUsage:
        """Set how many jobs of an owner may wait, with the scope `admin`; all as of `Producer.limit_owner`."""
        body = {"max_waiting": max_waiting}
        path = _owner_path(name)
        return self._connection.read(OwnerUsage.model_validate, "PUT", path, body=body)

    def find_batch(self, name: str) -> BatchId:
        """Return the id of the batch that *name* stands for among those of the owner; as of `Producer.find_batch`."""
        if not checked(name, str, field="batch") or len(name) > _LONGEST_NAME:
            raise BatchNotFound(short(name) or "without a name")
        wanted = {"name": name, "limit": 1}
        return self._connection.read(_only_id, "GET", "/v1/batches", params=wanted)

    def move(
        self,
        filter: str | Filter,  # noqa: A002 - as it is called everywhere
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Have the jobs that a filter means wait elsewhere, 10,000 at most; all as of `Producer.move`."""
        text = filter.readable if isinstance(filter, Filter) else filter
        return self._moved("/v1/moves", tier, pool, dry_run=dry_run, filter=text)

    def move_job(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Have one job that waits do so elsewhere; all as of `Producer.move_job`."""
        return self._moved(f"/v1/jobs/{job_id_of(job_id)}/move", tier, pool, dry_run=dry_run)

    def move_batch(
        self,
        batch: str,
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Have what waits of a batch do so elsewhere; all as of `Producer.move_batch`."""
        path = f"/v1/batches/{self.find_batch(batch)}/move"
        return self._moved(path, tier, pool, dry_run=dry_run)

    def nodes(self) -> list[Node]:
        """Return every node that sent a beat within the last week."""
        return self._connection.read(_NODES, "GET", "/v1/nodes")

    def node_times(self, name: str) -> NodeTimes:
        """Return how long things take on a node; errors as of `Producer.node_times`."""
        return self._connection.read(NodeTimes.model_validate, "GET", _node_path(name, "times"))

    def rescan(self, node: str) -> None:
        """Have a node read its models and classes again; errors as of `Producer.rescan`."""
        self._connection("POST", _node_path(node, "rescan"))

    def drain_nodes(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        last_of: str = "",
    ) -> list[Node]:
        """Have nodes finish what they hold and take nothing more; errors as of `Producer.drain_nodes`."""
        return self._want("drain", names, reason=reason, until=until, last_of=last_of)

    def pause_nodes(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        last_of: str = "",
    ) -> list[Node]:
        """Have nodes take nothing more; errors as of `Producer.pause_nodes`."""
        return self._want("pause", names, reason=reason, until=until, last_of=last_of)

    def resume_nodes(self, names: Sequence[str], *, reason: str = "") -> list[Node]:
        """Have nodes take work again; errors as of `Producer.resume_nodes`."""
        return self._want("resume", names, reason=reason)

    def quarantine_nodes(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        last_of: str = "",
    ) -> list[Node]:
        """Set nodes aside until they are cleared; all as of `Producer.quarantine_nodes`."""
        return self._want("quarantine", names, reason=reason, until=until, last_of=last_of)

    def clear_nodes(self, names: Sequence[str], *, reason: str = "") -> list[Node]:
        """End all doubt about nodes; all as of `Producer.clear_nodes`."""
        return self._want("clear", names, reason=reason)

    def probe_nodes(self, names: Sequence[str], *, reason: str = "") -> list[Node]:
        """Have nodes tried now; all as of `Producer.probe_nodes`."""
        return self._want("probe", names, reason=reason)

    def restart_nodes(
        self, names: Sequence[str], *, now: bool = False, reason: str = ""
    ) -> list[Node]:
        """Have the ComfyUIs of nodes restarted; all as of `Producer.restart_nodes`."""
        return self._want("restart", names, now=now, reason=reason)

    def pools(self) -> list[Pool]:
        """Return every pool, by name; also one that has but jobs that wait."""
        return self._connection.read(_POOLS, "GET", "/v1/pools")

    def drain_pools(
        self, names: Sequence[str], *, reason: str = "", until: datetime | None = None
    ) -> list[Pool]:
        """Have the nodes of pools finish what they hold and take nothing more; all as of `Producer.drain_pools`."""
        return self._want_pools("drain", names, reason=reason, until=until)

    def pause_pools(
        self, names: Sequence[str], *, reason: str = "", until: datetime | None = None
    ) -> list[Pool]:
        """Have the nodes of pools take nothing more; all as of `Producer.pause_pools`."""
        return self._want_pools("pause", names, reason=reason, until=until)

    def resume_pools(self, names: Sequence[str], *, reason: str = "") -> list[Pool]:
        """Have pools take work again; all as of `Producer.resume_pools`."""
        return self._want_pools("resume", names, reason=reason)

    def _want(self, verb: str, names: Sequence[str], **wishes: Any) -> list[Node]:
        given = [_node_named(name) for name in names_of(names, field="node")]
        return self._wanted(f"/v1/nodes/{verb}", _NODES, node=given, **wishes) if given else []

    def _want_pools(self, verb: str, names: Sequence[str], **wishes: Any) -> list[Pool]:
        given = names_of(names, field="pool")
        return self._wanted(f"/v1/pools/{verb}", _POOLS, pool=given, **wishes) if given else []

    def _wanted(self, path: str, form: Callable[[Any], T], **wishes: Any) -> T:
        if until := wishes.get("until"):
            wishes["until"] = checked(until, datetime, field="until").isoformat()
        return self._connection.read(form, "POST", path, body=wishes)

    def _moved(
        self,
        path: str,
        tier: Tier | str | None,
        pool: str | None,
        *,
        dry_run: bool,
        **which: str,
    ) -> int:
        wanted = None if tier is None else as_tier(tier)
        pool = None if pool is None else checked(pool, str, field="pool")
        body = {**which, "tier": wanted, "pool": pool, "dry_run": dry_run}
        return self._connection.read(lambda told: int(told["moved"]), "POST", path, body=body)


def _owner_path(name: str) -> str:
    owner = owner_named(name)
    if owner in {".", ".."}:
        raise InvalidJob(f"owner {owner} cannot be named in a path", field="owner")
    return f"/v1/owners/{quote(owner, safe='')}"


def _node_path(name: str, verb: str) -> str:
    return f"/v1/nodes/{_node_named(checked(name, str, field='node'))}/{verb}"


def _node_named(name: str) -> str:
    """Return a name that a node can have; no other goes into a path."""
    if not is_name(name):
        raise InvalidJob(f"there is no node {printable(name)}", field="node")
    return name


def _totals(told: Any) -> dict[str, PoolTotals]:
    return {str(name): PoolTotals.model_validate(pool) for name, pool in told["pools"].items()}


def _only_id(told: Any) -> BatchId:
    [found] = told["batches"]  # the only one of its name
    return parse_batch_id(found["id"])  # it goes into a path


_NODES: Final = each(Node, "nodes")
_POOLS: Final = each(Pool, "pools")
