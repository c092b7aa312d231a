"""The nodes of an embedded stack, and the processes that make and serve them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from infra.local.own_servers import ComfyUnusable, check_comfyui
from infra.local.supervisor import NotReady, Service
from producer.contract.config.node_address import NodeAddress
from producer.contract.config.settings import load_settings
from producer.contract.errors import FleetUnreachable
from producer.contract.nodes import NodeState
from producer.own_modules import started
from producer.store.connection import connect
from producer.store.node_store import NodeStore

_STANDIN_GRACE: Final = timedelta(seconds=5)

#: A worker stores what it holds in this time.
_WORKER_GRACE: Final = timedelta(seconds=60)
#: A message that is being sent has got its answer, or will get none.
_HOOKS_GRACE: Final = timedelta(seconds=25)

#: What a state means where the node's record gives no reason for it.
_REASONS: Final = {NodeState.JOINING: "its worker asks ComfyUI what it has"}

#: A worker starts and registers in this time, were its node to answer at once.
_REGISTERED_WITHIN: Final = timedelta(seconds=90)


class Node(NamedTuple):
    """One ComfyUI of the stack.

    Args:
        url: may hold a password; `bare` does not.
    """

    name: str
    url: str


def nodes_at(urls: Sequence[str]) -> list[Node]:
    """Return the nodes of ComfyUIs of one's own, named by their hosts: ``gpu-03.lan-8188``.

    Where a proxy has several on one host, their paths are part of their names.

    Raises:
        InvalidSettings: one of them is no address.
    """
    places = [str(NodeAddress.parse(url)).partition("://")[2].lower() for url in urls]
    hosts = [place.partition("/")[0] for place in places]
    names = hosts if len(set(hosts)) == len(set(places)) else places
    return [Node(_name(name), url) for name, url in zip(names, urls, strict=True)]


def _name(place: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", place).strip("-._")


def standin_service(
    node: Node, directory: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> Service:
    """Return what to run for a stand-in node that keeps its files in *directory*."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = str(urlsplit(node.url).port)
    return Service(
        name=node.name,
        argv=started("infra.standin", "--port", port, "--dir", str(directory), *arguments),
        environment=environment,
        directory=directory,
        probe=partial(_probe_comfyui, node.url),
        stop_within=_STANDIN_GRACE,
    )


def worker_service(
    node: Node,
    pool: str,
    probe: Callable[[], None],
    directory: Path,
    environment: Mapping[str, str],
    *,
    ready_within: timedelta = _REGISTERED_WITHIN,
) -> Service:
    """Return what to run for the worker that serves *node*."""
    return Service(
        name=f"worker-{node.name}",
        argv=started("worker", "--name", node.name, "--pool", pool),
        environment={**environment, "COMFYFLEET_NODE_URL": node.url},
        directory=directory,
        probe=probe,
        ready_within=ready_within,
        stop_within=_WORKER_GRACE,
    )


def hooks_service(directory: Path, environment: Mapping[str, str]) -> Service:
    """Return what to run for the senders of webhooks."""
    return Service(
        name="hooks",
        argv=started("producer.webhooks"),
        environment=environment,
        directory=directory,
        stop_within=_HOOKS_GRACE,
    )


def own_node_ready_within() -> timedelta:
    """Return how long a ComfyUI of the user's may take until it takes jobs.

    With many custom nodes it takes a minute and more to say what it has (`/object_info`).
    """
    return _REGISTERED_WITHIN + timedelta(seconds=load_settings().node_info_s)


def probe_worker(node: Node, settings: Mapping[str, str]) -> None:
    """Look whether the worker of *node* takes jobs, as its record in Redis says.

    Args:
        settings: the stack's, by the names of `Settings`.

    Raises:
        NotReady: it has not registered, or its ComfyUI does not let it take jobs.
    """
    fleet = load_settings(**settings)
    with closing(connect(fleet)) as redis:
        store = NodeStore(redis, lease=timedelta(seconds=fleet.lease_s))
        try:
            found = next((known for known in store.nodes() if known.name == node.name), None)
        except FleetUnreachable as exc:
            raise NotReady(str(exc)) from exc
    if found is None or not found.is_living:
        raise NotReady("its worker has not registered the node")
    if found.state is not NodeState.READY:
        reason = found.reason or _REASONS.get(found.state)
        raise NotReady(f"the node is {found.state}" + (f": {reason}" if reason else ""))


def _probe_comfyui(url: str) -> None:
    try:
        check_comfyui(url)
    except ComfyUnusable as exc:
        raise NotReady(str(exc)) from exc
