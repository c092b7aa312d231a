"""Async methods for nodes and pools; `producer.aio.AsyncProducer` inherits them."""

from __future__ import annotations

from producer.nodes.pool_methods import PoolMethods
from producer.threaded_calls import in_thread


class AsyncNodeMethods:
    """The methods of `PoolMethods` as coroutines."""

    _sync: PoolMethods

    nodes = in_thread(PoolMethods.nodes)
    node_times = in_thread(PoolMethods.node_times)
    rescan = in_thread(PoolMethods.rescan)
    drain_nodes = in_thread(PoolMethods.drain_nodes)
    pause_nodes = in_thread(PoolMethods.pause_nodes)
    resume_nodes = in_thread(PoolMethods.resume_nodes)
    quarantine_nodes = in_thread(PoolMethods.quarantine_nodes)
    clear_nodes = in_thread(PoolMethods.clear_nodes)
    probe_nodes = in_thread(PoolMethods.probe_nodes)
    restart_nodes = in_thread(PoolMethods.restart_nodes)
    pools = in_thread(PoolMethods.pools)
    drain_pools = in_thread(PoolMethods.drain_pools)
    pause_pools = in_thread(PoolMethods.pause_pools)
    resume_pools = in_thread(PoolMethods.resume_pools)
