"""Who asks: the key of a request, what it may do, and whose things it sees."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from producer.access_keys import allowing
from producer.aio import AsyncProducer
from producer.contract.access import AccessKey, Scope
from producer.contract.batches import Batch
from producer.contract.errors import BatchNotFound, InvalidJob, JobNotFound, OwnerBacklogFull
from producer.contract.filters.parser import parse_filter
from producer.contract.filters.query import Filter, Term, said
from producer.contract.jobs import Job
from producer.contract.queues import Tier
from producer.intake.request import as_tier


def fleet_of(request: Request) -> AsyncProducer:
    """Return the fleet that the app is of."""
    return cast("AsyncProducer", request.app.state.fleet)


# Dependencies are coroutines: FastAPI runs a function in a thread, which costs more than all that these do.
async def _fleet_of(request: Request) -> AsyncProducer:
    return fleet_of(request)


def _needs(scope: Scope) -> Any:
    async def key_of(request: Request) -> AccessKey:
        return allowing(request.state.key, scope)

    key_of.scope = scope  # type: ignore[attr-defined]  # see `scopes_of`
    return Depends(key_of)


def scopes_of(dependant: Dependant) -> list[Scope]:
    """Return the scopes that a route asks for, so that they can be looked at before its body is read."""
    scopes = (getattr(found.call, "scope", None) for found in dependant.dependencies)
    return [scope for scope in scopes if scope is not None]


Fleet = Annotated[AsyncProducer, Depends(_fleet_of)]
Reader = Annotated[AccessKey, _needs(Scope.READ)]
Submitter = Annotated[AccessKey, _needs(Scope.SUBMIT)]
Operator = Annotated[AccessKey, _needs(Scope.OPERATE)]
Administrator = Annotated[AccessKey, _needs(Scope.ADMIN)]


async def _watcher_of(request: Request) -> AccessKey:
    key: AccessKey = request.state.key
    return key if key.allows(Scope.OPERATE) else allowing(key, Scope.READ)


#: Who may read what is its own, and who may see everybody's figures.
Watcher = Annotated[AccessKey, Depends(_watcher_of)]


async def job_of(fleet: AsyncProducer, key: AccessKey, job_id: str) -> Job:
    """Return a job that the key sees.

    Raises:
        JobNotFound: there is none, it is another owner's, or this is no id: nobody can tell which.
    """
    try:
        job = await fleet.get(job_id)
    except InvalidJob:
        raise JobNotFound(job_id) from None
    if not key.sees(job.owner):
        raise JobNotFound(job.id)
    return job


async def batch_of(fleet: AsyncProducer, key: AccessKey, batch_id: str) -> Batch:
    """Return a batch that the key sees; else BatchNotFound, as of `job_of`."""
    batch = await fleet.batch(batch_id)
    if not key.sees(batch.owner):
        raise BatchNotFound(batch.id)
    return batch


def seen(key: AccessKey, text: str) -> Filter:
    """Return a filter for those of the jobs meant that the key sees."""
    return _of_key(key, parse_filter(text))


def chosen(key: AccessKey, text: str) -> Filter:
    """Return the same for what is to be changed; raises InvalidQuery where the text does not say which."""
    return _of_key(key, said(parse_filter(text)))


def _of_key(key: AccessKey, wanted: Filter) -> Filter:
    return wanted if key.sees_all else Filter((*wanted.terms, Term("owner", (key.owner,))))


async def check_room(fleet: AsyncProducer, key: AccessKey, *, more: int = 1) -> None:
    """Check that so many *more* jobs of its owner may wait by the key's own limit.

    It is looked at before they are handed in, so requests of one moment may go a little beyond; the limit of the
    owner itself is exact.

    Raises:
        OwnerBacklogFull: they may not.
    """
    await room_of(fleet, key, more=more)


async def check_open_room(fleet: AsyncProducer, key: AccessKey, *, more: int) -> None:
    """Check the same of rows that come to an open batch: rows of all its owner's open batches count as if they waited.

    The owner's own limit is looked at, too, so that no part of a part is stored.
    """
    usage = await fleet.owner(key.owner)
    limits = [limit for limit in (key.max_waiting, usage.max_waiting) if limit is not None]
    if limits:
        waiting = usage.waiting + await fleet.open_rows(key.owner)
        if waiting + more > min(limits):
            raise OwnerBacklogFull(key.owner, waiting, min(limits))


async def room_of(fleet: AsyncProducer, key: AccessKey, *, more: int = 1) -> int | None:
    """Return how many jobs more may wait by the key's own limit; None if it has none. Errors as of `check_room`."""
    if key.max_waiting is None:
        return None
    waiting = (await fleet.owner(key.owner)).waiting
    if waiting + more > key.max_waiting:
        raise OwnerBacklogFull(key.owner, waiting, key.max_waiting)
    return key.max_waiting - waiting


def tier_of(key: AccessKey, tier: str) -> Tier:
    """Return a tier that the key may ask for.

    Raises:
        InvalidJob: there is none of that name, or it is more urgent than the key may ask for.
    """
    found = as_tier(tier)
    if found not in key.tiers:
        raise InvalidJob(
            f"tier {found} is more urgent than this key may ask for; it may ask for "
            f"{', '.join(key.tiers)}",
            field="tier",
            allowed=list(key.tiers),
        )
    return found
