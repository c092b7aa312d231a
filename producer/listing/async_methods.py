"""Async methods for lists, what waits, owners and totals; `producer.aio.AsyncProducer` inherits them."""

from __future__ import annotations

from producer.listing.move_methods import MoveMethods
from producer.threaded_calls import in_thread


class AsyncListMethods:
    """The methods of `MoveMethods` as coroutines."""

    _sync: MoveMethods

    jobs = in_thread(MoveMethods.jobs)
    queue = in_thread(MoveMethods.queue)
    find_batch = in_thread(MoveMethods.find_batch)
    totals = in_thread(MoveMethods.totals)
    figures = in_thread(MoveMethods.figures)
    owner = in_thread(MoveMethods.owner)
    owners = in_thread(MoveMethods.owners)
    limit_owner = in_thread(MoveMethods.limit_owner)
    move = in_thread(MoveMethods.move)
    move_job = in_thread(MoveMethods.move_job)
    move_batch = in_thread(MoveMethods.move_batch)
