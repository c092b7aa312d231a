"""Graphs by name: I32. What a job has rendered is the graph that its name had when it was handed in, and no later one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.checker.history import History, Record, Violation, whose


@dataclass
class _Naming:
    """From when until when a name may have meant the graph of a colour, Unix s; its hash, where it was told."""

    color: int
    from_s: float
    done_s: float = math.inf
    until_s: float = math.inf
    unheard: int = 0
    template: str = ""


def check_names(history: History) -> Iterator[Violation]:
    """Yield jobs that were made of another graph than their name had."""
    namings = _namings(history)
    times = _times(history)
    for record in history.jobs.values():
        said = history.asked_of(record)
        if "named" not in said or said["answer"] == "raised":
            continue
        if old := history.jobs.get(said.get("retry_of", "")):
            if old.spec.get("template") != record.spec.get("template"):
                yield Violation("I32", record.job, f"made again of {old.job}, of another graph")
            continue
        known = namings.get((said.get("owner", ""), said["named"]), [])
        asked_s, answered_s = times.get(whose(said), (said["at"], said["at"]))
        may_be = [one for one in known if one.from_s <= answered_s and asked_s <= one.until_s]
        yield from _other(history, record, may_be)


def _other(history: History, record: Record, may_be: list[_Naming]) -> Iterator[Violation]:
    templates = {one.template for one in may_be}
    if record.spec.get("template") not in templates and "" not in templates:
        story = f"its graph is {record.spec.get('template')}, its name meant {sorted(templates)}"
        yield Violation("I32", record.job, story)
    for artifact in record.artifacts:
        picture = history.objects.get(artifact["key"], {}).get("picture", {})
        colors = {one.color for one in may_be if one.template in {"", record.spec.get("template")}}
        if "color" in picture and picture["color"] not in colors:
            story = f"its picture shows {picture['color']}, its name meant {sorted(colors)}"
            yield Violation("I32", record.job, story)


def _namings(history: History) -> dict[tuple[str, str], list[_Naming]]:
    """Return what each name meant, one after the other: who gives it a graph waits until that is answered."""
    found: dict[tuple[str, str], list[_Naming]] = defaultdict(list)
    for said in history.client:
        if said["do"] != "name":
            continue
        known = found[said["owner"], said["name"]]
        if not known or known[-1].color != said["color"]:
            known.append(_Naming(said["color"], said["asked_at"]))
        known[-1].unheard += said["answer"] != "done"
        if said["answer"] == "done":
            known[-1].done_s, known[-1].template = said["at"], said["template"]
    for known in found.values():
        for n, one in enumerate(known):
            # A try that nobody heard of may come late, and is over when the next but one is there.
            later = known[n + 1 + (one.unheard > 0) :]
            one.until_s = later[0].done_s if later else math.inf
    return found


def _times(history: History) -> dict[tuple[str, str], tuple[float, float]]:
    """Return from when until when each request was asked, by owner and key: one of the tries until its first answer made the job."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    answered = set()
    for said in history.submissions:
        whom = whose(said)
        if whom not in answered:
            first, _ = found.get(whom, (said["at"], 0))
            found[whom] = first, said["at"]
        if said["answer"] == "accepted":
            answered.add(whom)
    return found
