"""How long graph nodes and loads of models take on a device, ms, as its workers have seen it.

Graph nodes by their place in a shape stand in `comfyfleet:shape_seconds:<shape>`, as device -> `place=ms place=ms`:
not among its rates, where a check of the version before takes them for torn. Steps of classes and loads of models
stand in `comfyfleet:seconds:<device>`, as `step <class>` and `load <class> <model>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from producer.contract.nodes import NodeTimes
from producer.store import keys
from producer.store.connection import translated
from producer.store.rates import Rates
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis

_PLACE: Final = re.compile(r"([0-9a-f]{8})=(\d{1,9})")
_MS: Final = re.compile(r"\d{1,9}(\.\d{1,3})?")
_STEP, _LOAD = "step ", "load "
#: Graph nodes of a shape that are kept, those that take longest.
_PLACES_KEPT: Final = 64


@dataclass(frozen=True)
class DeviceSeconds:
    """What is known of a device, s.

    Args:
        steps: by class, of one step.
        loads: by `class model`.
    """

    steps: Mapping[str, float] = field(default_factory=dict)
    loads: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ShapeSeconds:
    """What is known of a shape on a node: a whole render, and each graph node by its place, s."""

    usual_s: float | None
    places: Mapping[str, float]


class NodeSeconds:
    """Reads and keeps seconds.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._rates = Rates(redis)
        self._scripts = Scripts(redis)

    def of_shape(self, shape: str, *, node: str) -> ShapeSeconds:
        """Return what is known of *shape* on a node.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        device, found = self._rates.read(shape, node=node)
        with translated(self._redis):
            told = self._redis.hget(keys.shape_seconds(shape), device)
        places = _PLACE.findall(str(told or ""))
        return ShapeSeconds(
            self._rates.usual_of(device, found), {place: int(ms) / 1000 for place, ms in places}
        )

    def of_device(self, device: str) -> DeviceSeconds:
        """Return what is known of *device*.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        with translated(self._redis):
            found = self._redis.hgetall(keys.seconds(device))
        texts = ((str(name), str(ms)) for name, ms in found.items())
        seconds = {name: float(ms) / 1000 for name, ms in texts if _MS.fullmatch(ms)}
        return DeviceSeconds(_named(seconds, _STEP), _named(seconds, _LOAD))

    def times_of(self, device: str) -> NodeTimes:
        """Return the same for a person; nothing of a node whose device is not known."""
        found = self.of_device(device) if device else DeviceSeconds()
        loads: dict[str, dict[str, float]] = {}
        for name, seconds in sorted(found.loads.items()):
            class_type, _, model = name.partition(" ")
            loads.setdefault(model, {})[class_type] = seconds
        return NodeTimes(loads=loads, steps=dict(sorted(found.steps.items())))

    def tell(
        self, device: str, news: DeviceSeconds, *, shape: str, places: Mapping[str, float]
    ) -> None:
        """Keep what a worker has seen; *places* are all of the shape's, or none if nothing is new.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        longest = sorted(places.items(), key=lambda item: -item[1])[:_PLACES_KEPT]
        fields = {f"{_STEP}{name}": found for name, found in news.steps.items()}
        fields |= {f"{_LOAD}{name}": found for name, found in news.loads.items()}
        pairs = [text for name, found in fields.items() for text in (name, _ms(found))]
        self._scripts.run(
            "tell_seconds",
            keys=[keys.rates(shape), keys.seconds(device), keys.shape_seconds(shape)],
            args=[
                device,
                " ".join(f"{place}={1000 * seconds:.0f}" for place, seconds in longest),
                *pairs,
            ],
        )


def is_node_seconds(text: str) -> bool:
    """Tell whether a field of a shape's seconds is what `tell` writes."""
    return all(map(_PLACE.fullmatch, text.split(" ")))


def _named(seconds: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {
        name.removeprefix(prefix): found
        for name, found in seconds.items()
        if name.startswith(prefix)
    }


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"
