"""Submissions of every kind of odd, through the real intake; what is accepted, as a worker prepares it.

What must hold: nothing but a refusal is raised, in a short line that a terminal can show; what is
refused leaves nothing behind; what is accepted can be posted to a node.
"""

from __future__ import annotations

import copy
import json
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from redis import Redis

from producer.batch.rows import Row
from producer.client import Producer
from producer.contract.classes.catalog import Catalog
from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.classes.save_names import with_save_names
from producer.contract.errors import BacklogFull, FleetError, InvalidJob, InvalidRows, KeyReused
from producer.contract.graph.graph import read_graph, stored_graph
from producer.contract.graph.json_values import canonical
from producer.contract.jobs import Job
from producer.contract.params.params import set_params
from tests.fuzz.odd_values import NAMES, mutated, odd, written
from tests.graphs import picture, sample
from worker.attempt.extra_data import ExtraDataSource

REFUSALS: Final = (InvalidJob, KeyReused, BacklogFull)
_LONGEST: Final = 500

_GRAPHS: Final = (
    {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "color": 3}},
        "6": {"class_type": "ComfyFleetSleep", "inputs": {"image": ["1", 0], "nonce": 1}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["6", 0], "filename_prefix": "x"},
            "_meta": {"title": "Out = 1"},
        },
    },
    json.loads(sample("model_free.json")),
    json.loads(sample("seed_prompt.json")),
)
_ADDRESSES: Final = (
    *("1.width", "EmptyImage.color", "6.nonce", "Out = 1.filename_prefix", "9.images", "9.x"),
    *(
        "1.image",
        "Picture.image",
        "3.seed",
        "6.text",
        "CLIPTextEncode.text",
        "",
        ".",
        "a",
        "\ud800",
    ),
    *("4.ckpt_name", "x" * 2_000, "1." + "." * 500),
)


@dataclass
class Report:
    """What came of the cases; `broken` says what must not be, with the case's number."""

    cases: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """Return it on one line."""
        told = {**self.__dict__, "refused": dict(self.refused), "broken": self.broken[:20]}
        return json.dumps(told)


class SubmissionFuzz:
    """Hands in odd submissions.

    Args:
        fleet: on a Redis and a bucket of its own.
        catalog: of the node that lives there.
        folder: of one's own, for input files.
    """

    def __init__(self, fleet: Producer, redis: Redis, catalog: Catalog, folder: Path) -> None:
        self._fleet = fleet
        self._redis = redis
        self._catalog = catalog
        self._files = _files(folder)
        self.report = Report()

    def run(self, *, cases: int, seed: int) -> Report:
        """Hand in so many; equal seeds give equal cases."""
        for number in range(cases):
            self.report.cases += 1
            self._case(number, Random(f"{seed}-{number}"))
        return self.report

    def _case(self, number: int, chance: Random) -> None:
        before = set(self._redis.scan_iter(count=1_000))
        base = chance.choices(range(len(_GRAPHS)), (6, 3, 1))[0]
        document = _document(base, chance)
        options = self._options(chance, reads_picture=base == 1)
        graph = written(document, chance)
        is_batch = chance.random() < 0.3
        try:
            jobs = list(self._handed_in(graph, options, chance, is_batch=is_batch))
        except REFUSALS as exc:
            self.report.refused[type(exc).__name__] += 1
            self._judge(number, exc)
            left = set(self._redis.scan_iter(count=1_000)) - before
            if left:
                self._break(number, f"left {sorted(left)} behind on {exc}")
            return
        except Exception:  # noqa: BLE001 - that is what we look for
            self._break(number, traceback.format_exc(limit=-4))
            return
        self.report.accepted += 1
        for job in jobs:
            try:
                self._prepare(job)
                if not is_batch and not self._is_as_handed_in(job, graph, options):
                    self._break(number, "its template and values are another graph")
            except Exception:  # noqa: BLE001 - likewise
                self._break(number, f"accepted, but {traceback.format_exc(limit=-4)}")
        self._forget(before)

    def _handed_in(
        self, graph: Any, options: dict[str, Any], chance: Random, *, is_batch: bool
    ) -> Iterator[Job]:
        if not is_batch:
            yield self._fleet.submit(graph, **options)
            return
        rows = [self._row(chance) for _ in range(chance.randrange(4))]
        batch = self._fleet.submit_many(
            graph, rows, **options, skip_invalid=chance.random() < 0.5, name=_text(chance)
        )
        yield from (job for _, job in self._fleet.batch_jobs(batch.id))

    def _is_as_handed_in(self, job: Job, graph: Any, options: dict[str, Any]) -> bool:
        """Tell whether what is stored is the graph that was handed in, with the params, to the type of each value."""
        settings = self._fleet.settings
        document = read_graph(
            graph,
            max_bytes=settings.max_graph_bytes,
            max_extra_bytes=settings.max_extra_data_bytes,
        )
        kept = set_params(stored_graph(self._fleet._jobs.graph(job.template)), job.set_values)
        return canonical(kept) == canonical(set_params(document.graph, options.get("params") or {}))

    def _prepare(self, job: Job) -> None:
        """Do what a worker does before it posts, and what people do who look at the job."""
        graph = stored_graph(self._fleet._jobs.graph(job.template))
        files = {address: file.name for address, file in job.inputs.items()}
        graph = set_params(graph, {**job.set_values, **files})
        graph = cut(graph, output_graph_nodes(graph, self._catalog))
        graph = with_save_names(graph, f"{job.id}-1")
        extra = ExtraDataSource(self._fleet._jobs).of(job)
        json.dumps({"prompt": graph, "extra_data": extra}, allow_nan=False).encode()
        job.model_dump_json()

    def _judge(self, number: int, error: FleetError) -> None:
        rows = error.rows if isinstance(error, InvalidRows) else [error]
        for told in rows:
            for text in (told.message, told.advice or ""):
                if len(text) > _LONGEST or not text.isprintable() or "Traceback" in text:
                    self._break(number, f"said {text[:2_000]!r}")

    def _break(self, number: int, why: str) -> None:
        self.report.broken.append(f"case {number}: {why}")

    def _forget(self, before: set[str]) -> None:
        if made := set(self._redis.scan_iter(count=1_000)) - before:
            self._redis.unlink(*made)

    def _options(self, chance: Random, *, reads_picture: bool) -> dict[str, Any]:
        makers = {
            "params": lambda: self._params(chance),
            "inputs": lambda: self._inputs(chance),
            "metadata": lambda: _odd_mapping(chance),
            "extra_data": lambda: _extra_data(chance),
            "tier": lambda: chance.choice(("rush", "idle", "RUSH", "", 5, None)),
            "pool": lambda: chance.choice(("default", "other", "", "x" * 99, 5, "\ud800")),
            "pin": lambda: chance.choice(("gpu-01", "gpu-99", "", "../x", 5)),
            "owner": lambda: _text(chance),
            "idempotency_key": lambda: _text(chance),
            "start_within": lambda: chance.choice((timedelta(1), timedelta(-1), timedelta.max, 5)),
        }
        share = chance.choice((0.0, 0.0, 0.0, 0.06, 0.06, 0.4))
        options = {name: make() for name, make in makers.items() if chance.random() < share}
        if "inputs" not in options and reads_picture and chance.random() < 0.9:
            options["inputs"] = self._good_inputs(chance)
        return options

    def _row(self, chance: Random) -> Any:
        match chance.randrange(6):
            case 0:
                return odd(chance)
            case 1:
                return InvalidJob("line 3 is no JSON", field="params.")
            case 2:
                return Row(self._params(chance), self._inputs(chance), _odd_mapping(chance))
            case _:
                return chance.choice(({}, {"EmptyImage.color": 7}, {"6.nonce": "5"}))

    def _params(self, chance: Random) -> Any:
        if chance.random() < 0.1:
            return odd(chance)
        count = chance.choice((1, 1, 2, 3, 6_000))
        addresses = (chance.choice(_ADDRESSES) for _ in range(min(count, 3)))
        more = {f"1.{number}": 1 for number in range(count - 3)} if count > 3 else {}
        return {address: odd(chance) for address in addresses} | more

    def _inputs(self, chance: Random) -> Any:
        if chance.random() < 0.1:
            return odd(chance)
        value = chance.choice((*self._files, lambda: odd(chance)))
        return {chance.choice(_ADDRESSES): value() if callable(value) else value}

    def _good_inputs(self, chance: Random) -> dict[str, Any]:
        return {chance.choice(("1.image", "LoadImage.image")): self._files[0]}


def _files(folder: Path) -> tuple[Any, ...]:
    good, empty = folder / "me.png", folder / "empty"
    good.write_bytes(picture())
    empty.write_bytes(b"")
    return (
        *(good, str(good), picture(), b"", b"no picture", empty, folder, folder / "nowhere"),
        *("node:me.png", "node:", "node:../x", "s3://b/k", "s3://", "s3://b", "\x00", "x" * 5_000),
    )


def _document(base: int, chance: Random) -> Any:
    document: Any = copy.deepcopy(_GRAPHS[base])
    if "prompt" in document:
        document = document["prompt"]
    for _ in range(chance.choice((0, 0, 0, 0, 0, 0, 1, 1, 2, 5))):
        if isinstance(document, dict | list):
            document = mutated(document, chance)
    if chance.random() < 0.4:
        document = _wrapped(document, chance)
        if chance.random() < 0.2:
            document = mutated(document, chance)
    return document


def _wrapped(graph: Any, chance: Random) -> Any:
    workflow = {"nodes": [], "links": []}
    return chance.choice(
        (
            {"prompt": graph, "client_id": "a"},
            {"prompt": graph, "extra_data": _extra_data(chance)},
            {"input": {"workflow": graph, "images": []}},
            {"workflow": workflow, "output": graph},
            {"workflow": workflow, "prompt": graph, odd_name(chance): odd(chance)},
            [graph],
            [graph, graph],
            {"a": {"b": {"c": {"d": {"e": {"f": graph}}}}}},
        )
    )


def odd_name(chance: Random) -> str:
    """Return a name that something may have."""
    return chance.choice(NAMES)


def _odd_mapping(chance: Random) -> Any:
    if chance.random() < 0.1:
        return odd(chance)
    values = (odd(chance), "text", "5", "x" * 5_000)
    return {odd_name(chance): chance.choice(values) for _ in range(chance.randrange(3))}


def _extra_data(chance: Random) -> Any:
    if chance.random() < 0.1:
        return odd(chance)
    given = {
        "extra_pnginfo": {"workflow": {"nodes": []}},
        "api_key_comfy_org": "s3cret",
        "client_id": "a",
        "preview_method": "none",
    }
    return mutated(given, chance) if chance.random() < 0.5 else given


def _text(chance: Random) -> Any:
    return odd(chance) if chance.random() < 0.2 else f"name-{chance.randrange(9)}"
