"""Prompt run: one execution of one prompt, graph node by graph node in ComfyUI's order."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

from PIL import Image

from infra.companion_node.saving import held_bytes
from infra.standin.cache import is_link, signatures
from infra.standin.faults_run import RunFaults
from infra.standin.gpu import Gpu
from infra.standin.graph_nodes.class_declaration import Blocked, OutOfMemory, Result
from infra.standin.journal import PromptNote
from infra.standin.options import StandinOptions
from infra.standin.prompt_messages import Teller
from infra.standin.prompt_queue import Item
from infra.standin.storage import Storage

#: ComfyUI's addition to the message; workers recognise the error by the exception's type.
_MEMORY_ADVICE = "This error means you ran out of memory on your GPU."


class Interrupted(Exception):
    """The running prompt was interrupted."""


class PromptRun:
    """Executes one item. ``graph_node`` is the running graph node, or None before the first."""

    def __init__(
        self,
        item: Item,
        *,
        gpu: Gpu,
        interrupted: Event,
        teller: Teller,
        note: PromptNote,
        faults: RunFaults,
        queue_again: Callable[[dict[str, Any]], None],
    ) -> None:
        _, self._prompt_id, self._graph, self._extra_data, self._outputs = item
        self._gpu = gpu
        self._interrupted = interrupted
        self._teller = teller
        self._note = note
        self._faults = faults
        self.queue_again = queue_again
        self._results: dict[str, Result] = {}
        self.graph_node: str | None = None

    def execute(self) -> str:
        """Run the prompt; return ``success``, ``error`` or ``interrupted``.

        Raises:
            KeyError, SystemExit, …: errors that end ComfyUI's executing thread, too.
            Forgotten: the prompt is to be dropped.
        """
        self._faults.suffer("prompt")
        self._teller.announce("execution_start", {})
        self._gpu.cache.keep_only(self._signatures)
        self._note.cached = [one for one in self._graph if self._kept(one)]
        self._teller.announce("execution_cached", {"nodes": self._note.cached})
        waiting = self._needed()
        try:
            while waiting:
                self._execute_next(waiting)
        except Interrupted:
            self._teller.announce("execution_interrupted", self._place(), to_all=True)
            return "interrupted"
        except Exception as exc:  # noqa: BLE001 - a graph node may raise anything
            self._teller.announce("execution_error", {**self._place(), **self._describe(exc)})
            return "error"
        self._teller.announce("execution_success", {})
        return "success"

    def history_entry(self) -> dict[str, Any]:
        """Return ``outputs``, ``status`` and ``meta`` as history shows them."""
        succeeded = self._teller.messages[-1][0] == "execution_success"
        status = {
            "status_str": "success" if succeeded else "error",
            "completed": succeeded,
            "messages": self._teller.messages,
        }
        outputs = self._teller.shown | ({} if self._gpu.options.is_current else self._remembered())
        meta = {
            one: {"node_id": one, "display_node": one, "parent_node": None, "real_node_id": one}
            for one in outputs
        }
        return {"outputs": outputs, "status": status, "meta": meta}

    @cached_property
    def _signatures(self) -> dict[str, str]:
        return signatures(self._graph, self._gpu.catalog, self._gpu.storage)

    def _kept(self, graph_node: str) -> Result | None:
        return self._gpu.cache.find(self._signatures[graph_node])

    def _remembered(self) -> dict[str, Any]:
        # 0.3.64 lists every cached graph node that has a `ui` output, also those not needed.
        kept = {one: self._kept(one) for one in self._graph}
        return {one: result.ui for one, result in kept.items() if result and result.ui}

    def _needed(self) -> dict[str, None]:
        """Return the outputs and their ancestors, except those that only cached graph nodes need."""
        needed: dict[str, None] = {}

        def want(graph_node: str) -> None:
            if graph_node in needed:
                return
            if not self._kept(graph_node):
                for source in self._sources(graph_node):
                    if not self._kept(source):
                        want(source)
            needed[graph_node] = None

        for output in self._outputs:
            want(output)
        return needed

    def _sources(self, graph_node: str) -> list[str]:
        inputs = self._graph[graph_node]["inputs"]
        return [value[0] for value in inputs.values() if is_link(value)]

    def _execute_next(self, waiting: dict[str, None]) -> None:
        ready = [
            one for one in waiting if not any(source in waiting for source in self._sources(one))
        ]
        # ComfyUI executes an output that is ready before others, so that people see results early.
        chosen = next((one for one in ready if one in self._outputs), ready[0])
        del waiting[chosen]
        kept = self._kept(chosen)
        if kept:
            self._repeat(chosen, kept)
        else:
            self._execute_graph_node(chosen)

    def _repeat(self, graph_node: str, result: Result) -> None:
        self._results[graph_node] = result
        self._teller.show(graph_node, result.ui)
        self._teller.end(graph_node)

    def _execute_graph_node(self, graph_node: str) -> None:
        self.graph_node = graph_node
        self._teller.begin(graph_node)
        self._faults.suffer(f"run {self._class_type}")
        self._stop_if_interrupted()
        known = self._gpu.catalog.find(self._class_type)
        if known is None:
            raise KeyError(graph_node)
        values = self._values(graph_node, known.inputs)
        if any(isinstance(value, Blocked) for value in values.values()):
            result = Result(values=(Blocked(),) * len(self._gpu.catalog.outputs(known)))
        else:
            result = known.run(self, **values)
        self._results[graph_node] = result
        self._gpu.cache.keep(self._signatures[graph_node], result)
        self._note.executed.append(graph_node)
        if result.ui:
            self._teller.show(graph_node, result.ui)
        self._teller.end(graph_node)

    def _values(self, graph_node: str, declared: Mapping[str, object]) -> dict[str, Any]:
        # As in ComfyUI: an undeclared constant is dropped; an undeclared link is resolved and passed
        # to the class, which then raises TypeError.
        return {
            name: self._linked(value) if is_link(value) else value
            for name, value in self._graph[graph_node]["inputs"].items()
            if is_link(value) or name in declared
        }

    def _linked(self, link: list[Any]) -> Any:
        source, slot = link
        result = self._results.get(source) or self._kept(source)
        if result is None:
            raise KeyError(source)
        return result.values[slot]

    def _stop_if_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise Interrupted

    @property
    def _class_type(self) -> str:
        return str(self._graph[self.graph_node or ""]["class_type"])

    def _place(self) -> dict[str, Any]:
        executed = list(self._note.executed)
        return {"node_id": self.graph_node, "node_type": self._class_type, "executed": executed}

    def _describe(self, exc: Exception) -> dict[str, Any]:
        inputs = self._graph[self.graph_node or ""]["inputs"]
        advice = _MEMORY_ADVICE if isinstance(exc, OutOfMemory) else ""
        return {
            "exception_message": f"{exc}\n{advice}",
            "exception_type": _type_name(exc),
            "traceback": traceback.format_tb(exc.__traceback__),
            "current_inputs": {name: [str(value)] for name, value in inputs.items()},
            "current_outputs": list(self._graph),
        }

    # From here on: the members of `class_declaration.Bench`, which graph nodes use.

    @property
    def options(self) -> StandinOptions:
        return self._gpu.options

    @property
    def storage(self) -> Storage:
        return self._gpu.storage

    @property
    def graph(self) -> Mapping[str, Any]:
        return self._graph

    @property
    def extra_data(self) -> Mapping[str, Any]:
        return self._extra_data

    @property
    def facts(self) -> dict[str, Any]:
        job = {"job": self._note.job} if self._note.job else {}
        return {**job, "prompt": self._prompt_id}

    def save_picture(self, picture: Image.Image, path: Path, **options: Any) -> None:
        place, pool = f"encode {self._class_type}", self.storage.pool

        def write(where: str) -> None:
            self._faults.suffer(place)
            self._gpu.work(self.options.encode_seconds)
            if pool is None:
                picture.save(where, **options)
            else:
                pool.save(picture, where, **options)

        if pool is None:
            write(str(path))
        else:
            pool.put(str(path), write, prompt=self._prompt_id, size=held_bytes(picture))

    def work(self, seconds: float) -> None:
        self._gpu.work(seconds)

    def load_model(self, name: str) -> None:
        if self._gpu.load_model(name):
            self._note.model_loads.append(name)

    def count_render(self) -> None:
        self._note.renders += 1

    def progress(
        self, value: float, total: float, preview: Image.Image | None = None, *, kind: str = "JPEG"
    ) -> None:
        self._faults.suffer(f"step {self._class_type}")
        self._stop_if_interrupted()
        self._teller.progress(self.graph_node or "", value, total, preview, kind)


def _type_name(exc: Exception) -> str:
    if isinstance(exc, OutOfMemory):
        return "torch.OutOfMemoryError"
    kind = type(exc)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
