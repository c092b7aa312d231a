"""Seeded bugs of graphs that are handed in whole: the shape is kept once, the values for each job."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

OF_GRAPHS: Final = (
    mutant(
        "give a job the values of the whole graph before",
        "one_by_one",
        "I7",
        (
            "producer/intake/whole_graphs.py",
            "        taken = {one.address: one.value for one in own}\n",
            (
                "        taken = {one.address: one.value for one in own}\n"
                '        before = vars(self).get("_before", {})\n'
                "        self._before = taken\n"
                "        taken = {**taken, **{name: before[name] for name in taken if name in before}}\n"
            ),
        ),
    ),
)
