"""Lists of jobs, a page at a time: by a filter and a cursor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from producer.contract.errors import InvalidQuery
from producer.contract.filters.query import Filter, Term
from producer.contract.job_pages import LONGEST_PAGE, JobPage
from producer.contract.jobs import Job
from producer.listing.cursors import Cursor, query_of, read_cursor
from producer.listing.plans import Plans
from producer.store.batch_names import find_batches
from producer.store.batch_reader import BatchReader
from producer.store.job_sources import Source
from producer.store.job_store import JobStore
from producer.store.times import now_ms

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one call looks at, at most: 0.1 s.
_MOST_LOOKED_AT: Final = 5_000
#: Batches that a filter may name: a cursor has an id for each.
_MOST_BATCHES: Final = 200
#: A number that a message shows.
_SHOWN: Final = 10**15
#: In order after all ids of jobs.
_HIGHEST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
#: Jobs that are looked at together, at most.
_AT_ONCE: Final = 500


class JobLists:
    """Reads pages of lists.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, jobs: JobStore, batches: BatchReader) -> None:
        self._redis = redis
        self._plans = Plans(redis, jobs, batches)

    def begin(self, wanted: Filter) -> str:
        """Return the cursor with which a list begins; it holds which batches the filter's names mean now.

        Raises:
            BatchNotFound, InvalidQuery: a name means none, or several.
        """
        return self._begin(wanted, query_of(wanted.text)).text

    def page(self, wanted: Filter, cursor: str | None, limit: int) -> JobPage:
        """Return a page of a list; arguments and errors as of `ListMethods.jobs`."""
        _check_limit(limit)
        query = query_of(wanted.text)
        at = read_cursor(cursor, query=query) if cursor else self._begin(wanted, query)
        wanted, batches = _with_ids(wanted, at.batches)
        sources = self._plans.sources(at.plan, wanted, batches=batches, began_ms=at.began_ms)
        jobs, place = _read(sources, (at.source, at.after), limit)
        if place is None:
            return JobPage(jobs=jobs)
        source, after = place
        next_ = Cursor(query, at.plan, source, after, at.began_ms, at.batches)
        return JobPage(jobs=jobs, cursor=next_.text)

    def _begin(self, wanted: Filter, query: str) -> Cursor:
        names = [value for term in _batch_terms(wanted) for value in term.values]
        owners = wanted.wanted("owner")
        if len(names) > _MOST_BATCHES:
            raise InvalidQuery(
                f"filter names {len(names):,} batches; expected at most {_MOST_BATCHES}",
                field="filter",
            )
        found = find_batches(self._redis, names, owners=owners) if names else {}
        batches = tuple(found[name] for name in names)
        plan = self._plans.choose(wanted)
        began_ms = now_ms(self._redis) if plan == "ended" else 0
        return Cursor(query, plan, 0, "", began_ms, batches)


def _with_ids(wanted: Filter, ids: tuple[str, ...]) -> tuple[Filter, list[str]]:
    """Return the filter with ids in place of batches' names, and the batches whose rows are listed."""
    rest = iter(ids)
    terms: list[Term] = []
    listed: list[str] = []
    for term in _batch_terms(wanted):
        found = [next(rest, "") for _ in term.values]
        terms.append(Term("batch", tuple(found), term.is_not))
        listed = listed if term.is_not else sorted(set(found), reverse=True)
    others = tuple(term for term in wanted.terms if term.field != "batch")
    return Filter((*others, *terms)), listed


def _batch_terms(wanted: Filter) -> list[Term]:
    """Return the terms that name batches, all in the same order for filters that ask the same."""
    found = (t for t in wanted.terms if isinstance(t, Term) and t.field == "batch")
    return sorted(
        (replace(term, values=tuple(sorted(term.values))) for term in found),
        key=lambda term: term.text,
    )


def _read(
    sources: list[Source], place: tuple[int, str], limit: int
) -> tuple[list[Job], tuple[int, str] | None]:
    """Return the next jobs, and where to go on; None at the end."""
    jobs: list[Job] = []
    source, after = shown = place
    looked_at, count = 0, limit + 1
    while source < len(sources):
        chunk = sources[source].read(after, min(count, max(_AT_ONCE, limit + 1)))
        for position, job in chunk.entries:
            if job and len(jobs) == limit:
                return jobs, shown
            after = position
            if job:
                jobs.append(job)
                shown = source, after
        looked_at += len(chunk.entries)
        if chunk.is_last:
            source, after = source + 1, ""
        elif len(jobs) == limit or looked_at >= _MOST_LOOKED_AT:
            # What was passed over may be another owner's, so a cursor names none of it.
            return jobs, shown if jobs else (source, _nameless(after, before=place[1]))
        # Few of these were meant: look at more of the next.
        count = max(count, _AT_ONCE)
    return jobs, None


def _nameless(position: str, *, before: str) -> str:
    """Return the position before all that ended within the same ms as a job; as it is, if that leads nowhere."""
    at, _, job_id = position.partition(" ")
    nameless = f"{at} {_HIGHEST_ID}"
    is_further = not before or nameless < before
    return nameless if len(job_id) == len(_HIGHEST_ID) and is_further else position


def _check_limit(limit: object) -> None:
    found = f"a {type(limit).__name__}"
    if isinstance(limit, int) and not isinstance(limit, bool):
        if 1 <= limit <= LONGEST_PAGE:
            return
        found = f"{limit:,}" if abs(limit) < _SHOWN else "beyond all bounds"
    raise InvalidQuery(
        f"limit is {found}; expected a whole number from 1 to {LONGEST_PAGE:,}", field="limit"
    )
