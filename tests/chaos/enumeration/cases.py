"""Cases: a site, one way to strike it, and what is tried until somebody has passed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import Final

from tests.chaos.enumeration.life import Life
from tests.chaos.enumeration.lives import life_named
from tests.chaos.enumeration.sites import Site

#: Two rounds of the slowest timer: kombu's look after lost messages and its PING, 10 s each.
_TIMERS_S: Final = 22.0
#: So many lives a site gets before another repetition of its call, or another lane's, will do.
EXACT: Final = 2
_LOOSE: Final = 2
#: All that counts from a process' start happens again in the life of one that comes back.
_ANEW: Final = "returning"


@dataclass(frozen=True)
class Turn:
    """One try at a case.

    Args:
        waits_s: how long after the job's end the site may still be passed.
        by_anyone: whether the call of any other lane counts as well.
    """

    life: Life
    waits_s: float = 0
    by_anyone: bool = False


@dataclass(frozen=True)
class Case:
    """One site and one way to strike it.

    Args:
        lives: those that pass the site. The order of what runs side by side varies, so that a
            life may do without a request that it made when it was watched.
        waits: whether the call comes by itself sooner or later, job or no job.
    """

    site: Site
    after: bool
    lives: tuple[Life, ...]
    waits: bool = False

    def turns(self) -> Iterator[Turn]:
        """Yield what to try, one after the other, until the site is passed."""
        lives = cycle(self.lives)
        waits_s = _TIMERS_S if self.waits else 0
        for life in islice(lives, EXACT):
            yield Turn(life, waits_s)
        for life in islice(lives, _LOOSE):
            yield Turn(life, waits_s, by_anyone=True)
        for life in (life_named(_ANEW), self.lives[0]):
            yield Turn(life, _TIMERS_S, by_anyone=True)

    def __str__(self) -> str:
        return f"{self.lives[0].name}: {self.site}, cut {'after' if self.after else 'before'}"


def spread(cases: Iterable[Case]) -> list[Case]:
    """Put those that wait evenly between the others: a lane that waits costs no processor."""
    groups: dict[bool, list[Case]] = {False: [], True: []}
    for case in cases:
        groups[case.waits].append(case)
    placed = chain.from_iterable(
        ((number / len(group), case) for number, case in enumerate(group))
        for group in groups.values()
    )
    return [case for _, case in sorted(placed, key=lambda place: place[0])]
