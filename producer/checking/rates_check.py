"""Rates check: can it be read how long renders of each shape take, and do these keys end? And the fleet's totals?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from producer.checking.findings import Finding, Kind
from producer.store import keys
from producer.store.rates_audit import RatesAudit
from producer.store.totals import Totals


class RatesCheck:
    """Checks the rates of every shape, and the totals.

    Args:
        repair: repair what is found.
    """

    def __init__(self, audit: RatesAudit, totals: Totals, *, repair: bool) -> None:
        self._audit = audit
        self._totals = totals
        self._repair = repair
        self._finding = partial(Finding, mended=repair)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings about rates and totals."""
        for key, counter in self._totals.torn(mend=self._repair):
            yield self._finding(
                kind=Kind.TORN_TOTAL,
                about=f"{key} {counter}",
                found=f"{key} has {counter[:80]!r}, which is no counter, or no whole number",
                expected="it should be deleted: what it counted is counted anew",
            )
        for shape, fault in self._audit.faults(mend=self._repair):
            key = keys.rates(shape)
            if fault == "torn":
                yield self._finding(
                    kind=Kind.TORN_RATES,
                    about=key,
                    found=f"{key} cannot be read",
                    expected="it should be deleted: the next renders of this shape are counted anew",
                )
            else:
                yield self._finding(
                    kind=Kind.MISSING_FROM_LIST,
                    about=key,
                    found=f"{key} has no end, or {keys.SHAPES} does not list it",
                    expected="it should, or such keys would grow without a limit",
                )
