"""What was stored: I4 (one committed set), I5 (hashes), I6 (complete), I7 (the right picture)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.checker.history import History, Record, Violation, prompt_id

_OF_JOB: Final = re.compile(r"(?:.*/)?jobs/(?P<job>[0-9a-f-]{36})/(?P<attempt>\d+)/(?P<name>[^/]+)")
#: The first version of manifests that names what jobs share.
_NAMES_CONTENTS: Final = 2
_COMPARED: Final = ("key", "sha256", "bytes")


def check_artifacts(history: History) -> Iterator[Violation]:
    """Yield what is wrong with committed sets and their bytes."""
    manifests = _manifests(history)
    for record in history.succeeded():
        own = manifests.get(record.job, {})
        yield from _one_set(record, own)
        yield from _shared(history, record, own.get(record.attempt, {}))
        yield from _complete(history, record)
        for artifact in record.artifacts:
            yield from _bytes(history, record, artifact)
            yield from _picture(history, record, artifact)
    for record in history.jobs.values():
        if record.status != "succeeded" and record.artifacts:
            yield Violation("I4", record.job, f"{record.status}, but lists artifacts")


def place_of(key: str) -> tuple[str, int, str] | None:
    """Return job, attempt and file name of a key below `jobs/`, or None."""
    found = _OF_JOB.fullmatch(key)
    return (found["job"], int(found["attempt"]), found["name"]) if found else None


def _manifests(history: History) -> dict[str, dict[int, dict[str, Any]]]:
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for key, stored in history.objects.items():
        place = place_of(key)
        if place and place[2] == "manifest.json":
            found.setdefault(place[0], {})[place[1]] = stored["json"]
    return found


def _one_set(record: Record, manifests: dict[int, dict[str, Any]]) -> Iterator[Violation]:
    if later := [attempt for attempt in manifests if attempt > record.attempt]:
        yield Violation(
            "I4", record.job, f"attempt {record.attempt} counts, {later} left manifests"
        )
    manifest = manifests.get(record.attempt)
    if manifest is None:
        yield Violation("I4", record.job, f"attempt {record.attempt} has no manifest")
        return
    told, listed = _compared(manifest["artifacts"]), _compared(record.artifacts)
    if told != listed:
        yield Violation("I4", record.job, f"the manifest says {told}, the record {listed}")
    for artifact in record.artifacts:
        place = place_of(artifact["key"])
        if place is None or place[:2] != (record.job, record.attempt):
            yield Violation("I4", record.job, f"lists {artifact['key']} of another attempt")


def _shared(history: History, record: Record, manifest: dict[str, Any]) -> Iterator[Violation]:
    """What a manifest names must be there; version 1 named nothing in the bucket."""
    if manifest.get("version", 1) < _NAMES_CONTENTS or not record.artifacts:
        return
    prefix = record.artifacts[0]["key"].partition("jobs/")[0]
    for field, folder in (("template", "templates"), ("extra_data", "extra_data")):
        sha256 = manifest.get(field)
        key = f"{prefix}{folder}/{sha256}.json"
        if sha256 and history.objects.get(key, {}).get("sha256") != sha256:
            yield Violation("I4", record.job, f"its manifest names {key}, which is not there")


def _compared(artifacts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(tuple(artifact[name] for name in _COMPARED) for artifact in artifacts)


def _complete(history: History, record: Record) -> Iterator[Violation]:
    wanted = sorted(file["graph_node"] for file in history.expected_of(record).get("files", ()))
    made = sorted(artifact["graph_node"] for artifact in record.artifacts)
    if wanted != made:
        yield Violation("I6", record.job, f"files of graph nodes {made}, expected {wanted}")


def _bytes(history: History, record: Record, artifact: dict[str, Any]) -> Iterator[Violation]:
    stored = history.objects.get(artifact["key"])
    if stored is None:
        yield Violation("I5", record.job, f"{artifact['key']} is not in the bucket")
        return
    hashes = {stored["sha256"], artifact["sha256"], stored["metadata"].get("sha256")}
    if len(hashes) > 1 or stored["bytes"] != artifact["bytes"]:
        story = f"{stored['bytes']} bytes, hashes {sorted(map(str, hashes))}"
        yield Violation("I5", record.job, f"{artifact['key']}: {story}")
    picture = stored.get("picture")
    if picture is None:
        return
    if "error" in picture:
        yield Violation("I5", record.job, f"{artifact['key']} does not decode: {picture['error']}")
    elif (picture["width"], picture["height"]) != (artifact["width"], artifact["height"]):
        size = f"{picture['width']}x{picture['height']}"
        yield Violation("I5", record.job, f"{artifact['key']} is {size}, its record says otherwise")


def _picture(history: History, record: Record, artifact: dict[str, Any]) -> Iterator[Violation]:
    picture = history.objects.get(artifact["key"], {}).get("picture", {"error": ""})
    if "error" in picture:
        return
    expected = next(
        (
            file
            for file in history.expected_of(record).get("files", ())
            if file["graph_node"] == artifact["graph_node"]
        ),
        {},
    )
    shows = {
        "job": picture["said"].get("job"),
        "prompt": picture["said"].get("prompt"),
        "seed": picture["painted"].get("seed"),
        "painted job": picture["painted"].get("job", record.job),
        "color": picture["color"],
        "width": picture["width"],
        "height": picture["height"],
    }
    wanted = {
        "job": record.job,
        "prompt": prompt_id(record.job, record.attempt),
        "painted job": record.job,
        **{name: value for name, value in expected.items() if name != "graph_node"},
    }
    for name, value in wanted.items():
        if shows[name] != value:
            story = f"{artifact['key']} shows {name} {shows[name]}, not {value}"
            yield Violation("I7", record.job, story)
