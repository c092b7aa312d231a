"""How long base models take to load on this node: their loaders, and what samplers took longer. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from worker.scheduling.node_times import NodeKind
from worker.scheduling.samples import Samples

#: Models that are remembered; a node rarely has more.
_MODELS: Final = 256


class LoadTimes:
    """Seconds that models took, by class and model; called from any thread.

    A loader reads the file; the first sampler after it brings the model onto the card, so what that took
    longer than usual is part of the load.
    """

    def __init__(self) -> None:
        self.loads = Samples(_MODELS)  #: Of `class model`: class names hold no space.
        self._last: frozenset[str] = frozenset()

    def on_rendered(
        self,
        loaders: Mapping[str, tuple[str, ...]],
        kinds: Mapping[str, NodeKind],
        seconds: Mapping[str, float],
        usual_s: Mapping[str, float],
    ) -> None:
        """Add what a render tells of its models, if they are others than those of the render before.

        Args:
            loaders: the models that each loading graph node names.
            seconds: how long each graph node took, of those that were not cached.
            usual_s: what each was expected to take.
        """
        models = frozenset(model for named in loaders.values() for model in named)
        is_new, self._last = not models <= self._last, models or self._last
        ran = {name: named for name, named in loaders.items() if name in seconds}
        if not (is_new and ran):
            return
        samplers = [name for name in seconds if "sampler" in kinds[name].class_type.lower()]
        longer_s = sum(max(0.0, seconds[name] - usual_s.get(name, 0.0)) for name in samplers)
        for name, named in ran.items():
            for model in named:
                took_s = seconds[name] / len(named) + longer_s / len(models)
                self.loads.add(f"{kinds[name].class_type} {model}", took_s)

    def usual_s(self, models: Collection[str], *, else_s: float) -> float:
        """Return how long *models* take to load together.

        Args:
            else_s: of each that nobody has seen load.
        """
        known: dict[str, float] = {}
        for key, seconds in self.loads.known().items():
            model = key.partition(" ")[2]
            known[model] = max(known.get(model, 0.0), seconds)
        return sum(known.get(model, else_s) for model in models)
