"""Async methods for what waits, owners and totals; `producer.aio.AsyncProducer` inherits them."""

from __future__ import annotations

import asyncio

from producer.contract.figures import FleetFigures
from producer.contract.filters.query import Filter
from producer.contract.ids import BatchId
from producer.contract.owners import OwnerUsage
from producer.contract.queue_lines import QueueLine
from producer.contract.queues import Tier
from producer.contract.totals import PoolTotals
from producer.listing.move_methods import MoveMethods


class AsyncListMethods:
    """The methods of `MoveMethods` as coroutines, but for `jobs`."""

    _sync: MoveMethods

    async def queue(self) -> list[QueueLine]:
        """Return what waits, by pool, tier and reason; as of `Producer.queue`."""
        return await asyncio.to_thread(self._sync.queue)

    async def find_batch(self, name: str, *, owner: str | None = None) -> BatchId:
        """Return the id of the batch that *name* stands for; all as of `Producer.find_batch`."""
        return await asyncio.to_thread(self._sync.find_batch, name, owner=owner)

    async def totals(self) -> dict[str, PoolTotals]:
        """Return what each pool has counted since its first job; as of `Producer.totals`."""
        return await asyncio.to_thread(self._sync.totals)

    async def figures(self) -> FleetFigures:
        """Return what metrics tell; as of `Producer.figures`."""
        return await asyncio.to_thread(self._sync.figures)

    async def owner(self, name: str) -> OwnerUsage:
        """Return what an owner has and has used; errors as of `Producer.owner`."""
        return await asyncio.to_thread(self._sync.owner, name)

    async def owners(self) -> list[OwnerUsage]:
        """Return the same of every owner; as of `Producer.owners`."""
        return await asyncio.to_thread(self._sync.owners)

    async def limit_owner(self, name: str, *, max_waiting: int | None) -> OwnerUsage:
        """Set how many jobs of an owner may wait; all as of `Producer.limit_owner`."""
        return await asyncio.to_thread(self._sync.limit_owner, name, max_waiting=max_waiting)

    async def move(
        self,
        filter: str | Filter,  # noqa: A002 - as it is called everywhere
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
        most: int | None = None,
    ) -> int:
        """Have the jobs that a filter means wait elsewhere; all as of `Producer.move`."""
        return await asyncio.to_thread(
            self._sync.move, filter, tier=tier, pool=pool, dry_run=dry_run, most=most
        )

    async def move_job(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Have one job that waits do so elsewhere; all as of `Producer.move_job`."""
        return await asyncio.to_thread(
            self._sync.move_job, job_id, tier=tier, pool=pool, dry_run=dry_run
        )

    async def move_batch(
        self,
        batch: str,
        *,
        tier: Tier | str | None = None,
        pool: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Have what waits of a batch do so elsewhere; all as of `Producer.move_batch`."""
        return await asyncio.to_thread(
            self._sync.move_batch, batch, tier=tier, pool=pool, dry_run=dry_run
        )
