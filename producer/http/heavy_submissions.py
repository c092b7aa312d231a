"""Submissions that compute for long, by the size of their graph or their rows: they take turns as other calls that look
at much do.

A graph of 4 MB keeps a thread busy for about a second, a part of 50,000 rows for three. Many of one owner at once would be
done no sooner, and others' requests wait for them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request

from producer.aio import AsyncProducer
from producer.contract.errors import FleetError
from producer.http.long_calls import LongCalls

#: Bytes of a graph, or of a body, from which on it is heavy: about a tenth of a second.
HEAVY: Final = 1 << 18
#: Bytes of a part of rows from which on it is heavy: some hundred rows.
HEAVY_PART: Final = 1 << 15
#: How long a part may wait for its turn, s: those before it may take seconds each. A client of ours has two minutes.
_PART_WAITS_S: Final = 30.0
#: How long the sizes of an owner's templates are believed, s, and of how many owners.
_BELIEVED_S: Final = 10.0
_OWNERS: Final = 1_000


def heavy_calls() -> LongCalls:
    """Return the turns of heavy submissions: they compute all the time, so one of an owner at once."""
    return LongCalls(at_once=2, of_owner=1, what="hand in large graphs")


def part_calls() -> LongCalls:
    """Return the turns of parts of rows. Not those of graphs, which would wait for many seconds behind parts."""
    return LongCalls(at_once=2, of_owner=1, within_s=_PART_WAITS_S, what="hand in many rows")


class TemplateSizes:
    """How large templates are, without a look at each for each job."""

    def __init__(self, fleet: AsyncProducer) -> None:
        self._fleet = fleet
        self._known: OrderedDict[str, tuple[float, dict[str, int]]] = OrderedDict()

    async def of(self, owner: str, name: str) -> int:
        """Return the bytes of a graph by its name; 0 where nobody knows."""
        at, sizes = self._known.get(owner, (0.0, {}))
        if not at or time.monotonic() - at > _BELIEVED_S:
            try:
                found = await self._fleet.templates.list(owner=owner)
            except FleetError:
                return 0  # who hands the job in is told
            sizes = {template.name: template.bytes for template in found}
            self._known[owner] = (time.monotonic(), sizes)
            self._known.move_to_end(owner)
            while len(self._known) > _OWNERS:
                self._known.popitem(last=False)
        return sizes.get(name, 0)


@asynccontextmanager
async def turn_if_heavy(request: Request, *, template: str | None) -> AsyncIterator[None]:
    """Run the block at once, or of a heavy submission when it is its turn; raises Problem as of `LongCalls.turn`."""
    owner, state = request.state.key.owner, request.app.state
    size = len(await request.body())
    if template:
        size += await state.template_sizes.of(owner, template)
    if size < HEAVY:
        yield
        return
    calls: LongCalls = state.heavy_calls
    async with calls.turn(owner):
        yield


@asynccontextmanager
async def turn_of_part(request: Request, size: int) -> AsyncIterator[None]:
    """Run the block, which takes a part of so many bytes, at once or when it is its turn; raises Problem as of `turn_if_heavy`."""
    if size < HEAVY_PART:
        yield
        return
    calls: LongCalls = request.app.state.part_calls
    async with calls.turn(request.state.key.owner):
        yield
