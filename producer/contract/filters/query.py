"""A filter that was read: what it asks of a job, and whether a job answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from producer.contract.errors import InvalidQuery
from producer.contract.filters.times import TimeSpan
from producer.contract.graph.json_values import short
from producer.contract.jobs import JobStatus

#: Of a job, the fields that a filter asks for.
Facts = Mapping[str, str | datetime | None]

#: The filter that means all jobs and says so.
ALL = "all"

ENDED_BADLY = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED})


@dataclass(frozen=True)
class Term:
    """One field has one of some values; or none of them."""

    field: str
    values: tuple[str, ...]
    is_not: bool = False

    def holds(self, facts: Facts) -> bool:
        """Tell whether a job answers it; what it has not counts as empty."""
        return ((facts[self.field] or "") in self.values) is not self.is_not

    @property
    def text(self) -> str:
        """It as it is written, the values in order."""
        values = ",".join(_written(value) for value in sorted(self.values))
        return f"{'-' * self.is_not}{self.field}:{values}"


@dataclass(frozen=True)
class TimeTerm:
    """One field lies within a span of time; or does not."""

    field: str
    span: TimeSpan
    is_not: bool = False

    def holds(self, facts: Facts) -> bool:
        """Tell whether a job answers it; what has not happened lies in no span."""
        at = facts[self.field]
        return (isinstance(at, datetime) and at in self.span) is not self.is_not

    @property
    def text(self) -> str:
        """It as one or two terms that are written alike for equal spans; not made to be read again."""
        since, until = self.span.since, self.span.until
        return f"{'-' * self.is_not}{self.field}:[{since and since.isoformat()},{until and until.isoformat()})"

    @property
    def readable(self) -> str:
        """It as somebody could write it."""
        since, until = self.span.since, self.span.until
        if self.is_not and since and until:
            # What lies outside of two bounds cannot be said by two terms, which must both hold.
            return f"-{self.field}:{_as_one(since, until)}"
        bounds = ((">=", since), ("<", until))
        terms = [f"{self.field}:{sign}{at.isoformat()}" for sign, at in bounds if at]
        return " ".join("-" * self.is_not + term for term in terms)


@dataclass(frozen=True)
class Filter:
    """Which jobs are meant: those that answer all terms; without any, all.

    Args:
        is_all: that all are meant was said, by the word `all`; an empty filter leaves it open.
    """

    terms: tuple[Term | TimeTerm, ...] = ()
    is_all: bool = False

    def holds(self, facts: Facts) -> bool:
        """Tell whether a job answers it, as far as its facts are known: what is not among them may be so."""
        return all(term.holds(facts) for term in self.terms if term.field in facts)

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it asks for."""
        return frozenset(term.field for term in self.terms)

    @property
    def text(self) -> str:
        """The same for filters that ask the same, in whatever order."""
        return " ".join(sorted({term.text for term in self.terms}))

    @property
    def readable(self) -> str:
        """It as somebody could write it, for people."""
        if self.is_all and not self.terms:
            return ALL
        terms: set[str] = set()
        for term in self.terms:
            terms |= {*term.readable.split()} if isinstance(term, TimeTerm) else {term.text}
        return " ".join(sorted(terms))

    def wanted(self, field: str) -> frozenset[str] | None:
        """Return the values of a field of which a job must have one; None if it may have any."""
        asked = [set(term.values) for term in self._of(field) if not term.is_not]
        if not asked:
            return None
        excluded = {value for term in self._of(field) if term.is_not for value in term.values}
        return frozenset(set.intersection(*asked) - excluded)

    @property
    def statuses(self) -> frozenset[JobStatus]:
        """The statuses that a job may have to answer it: a cause, or an end, says something of it, too."""
        found = set(JobStatus)
        for term in self._of("status"):
            found = {status for status in found if (status in term.values) is not term.is_not}
        if self.wanted("cause") is not None:
            found &= ENDED_BADLY
        if any(term.field == "ended" and not term.is_not for term in self.terms):
            found = {status for status in found if status.is_terminal}
        return frozenset(found)

    def span(self, field: str) -> TimeSpan:
        """Return the span in which a job's time must lie."""
        span = TimeSpan()
        for term in self.terms:
            if isinstance(term, TimeTerm) and term.field == field and not term.is_not:
                span = span.within(term.span)
        return span

    def of_batch(self, batch: str) -> Filter:
        """Return the same filter for the rows of one batch, which is all that it wants of batches.

        Raises:
            InvalidQuery: it names batches itself.
        """
        if self._of("batch"):
            raise InvalidQuery(
                f"the rows of batch '{short(batch)}' are listed; expected a filter without batch",
                field="filter",
            )
        return Filter((*self.terms, Term("batch", (batch,))))

    def _of(self, field: str) -> list[Term]:
        return [term for term in self.terms if isinstance(term, Term) and term.field == field]


def said(wanted: Filter) -> Filter:
    """Return a filter by which jobs are to be changed, if it says which.

    An empty one may be a variable that was never filled; nobody's night should end by that.

    Raises:
        InvalidQuery: it is empty.
    """
    if wanted.terms or wanted.is_all:
        return wanted
    raise InvalidQuery(
        f"filter is empty, and would mean all jobs; expected terms, as status:queued, or the word {ALL}",
        field="filter",
        advice=f"say {ALL} if all jobs are meant",
    )


def _as_one(since: datetime, until: datetime) -> str:
    """Return a day, a minute or a second as it is written."""
    length_s = (until - since).total_seconds()
    if length_s == timedelta(days=1).total_seconds():
        return since.date().isoformat()
    is_minute = length_s == timedelta(minutes=1).total_seconds()
    return since.isoformat(timespec="minutes" if is_minute else "seconds")


def _written(value: str) -> str:
    is_plain = value and not any(char.isspace() or char in ',"\\' for char in value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return value if is_plain else f'"{escaped}"'
