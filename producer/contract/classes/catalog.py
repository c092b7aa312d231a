"""Catalog of one node: its graph node classes and its models, extracted from `/object_info`."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self

from producer.contract.classes.model_names import loose, own_spelling, plain_name
from producer.contract.graph.graph import Graph, GraphNode, literal
from producer.contract.near_names import near_names
from producer.contract.queues import Needs

_MODEL_SUFFIXES: Final = (
    *(".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"),  # ComfyUI's own
    *(".gguf", ".onnx", ".engine", ".trt"),  # those of widespread extensions
)

#: Core inputs that name a model: a node without models of a kind lists no file to recognise them by.
_MODEL_INPUTS: Final = frozenset(
    {
        *("ckpt_name", "unet_name", "vae_name", "lora_name", "control_net_name"),
        *("clip_name", "clip_name1", "clip_name2", "clip_name3", "clip_name4", "text_encoder"),
        *("style_model_name", "gligen_name", "hypernetwork_name", "model_name", "model_path"),
        *("audio_encoder_name", "photomaker_model_name", "bg_removal_name"),
    }
)


#: First part of `python_module` of ComfyUI's own classes; that of extensions is `custom_nodes`.
_PARTNERS: Final = "comfy_api_nodes"
_CORE_MODULES: Final = ("nodes", "comfy_extras", _PARTNERS)
#: Values of a class in `to_text` of the first version, and of the one before.
_OLD_ROW: Final = 4
_ROW_BEFORE: Final = 5


@dataclass(frozen=True)
class GraphNodeClass:
    """The part of a class's `/object_info` entry that placement and checks need.

    Args:
        outputs: the number of outputs; None if /object_info does not say.
        is_output: whether it is an output node, for whose sake ComfyUI runs a graph.
        files: inputs that name an uploaded file.
        models: input → the model names that it accepts, as the node lists them: on Windows
            with a backslash, and ComfyUI compares letter for letter.
        is_core: whether it comes with ComfyUI itself, and no extension has replaced it.
        is_partner: whether of these it asks a partner of ComfyUI's, who is paid for each execution.
    """

    outputs: int | None = None
    is_output: bool = False
    files: tuple[str, ...] = ()
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_core: bool = False
    is_partner: bool = False


@dataclass(frozen=True)
class Missing:
    """A class or model that a graph needs and a node lacks; *input* is None for a class.

    Args:
        choices: the names that the node has: its classes, or the models for that input.
    """

    graph_node: str
    class_type: str
    input: str | None
    name: str
    choices: Iterable[str] = field(default=(), compare=False, repr=False)

    @cached_property
    def nearest(self) -> list[str]:
        """The most similar names that the node has; searched on first use, since that is slow."""
        return _nearest(self.name, self.choices)

    @property
    def need(self) -> str:
        """The class or model and the graph node that needs it, as the subject of a message."""
        if self.input is None:
            return f"class {self.name} (graph node {self.graph_node})"
        where = f"graph node {self.graph_node}, {self.class_type}.{self.input}"
        return f"model {self.name or 'without a name'} ({where})"

    @property
    def message(self) -> str:
        """That one node lacks it, as a whole sentence."""
        nearest = f"; the nearest it has: {', '.join(self.nearest)}" if self.nearest else ""
        return f"the node has no {self.need}{nearest}"


@dataclass(frozen=True)
class Catalog:
    """The classes of one node by name. Nodes with equal catalogs can run the same graphs."""

    classes: Mapping[str, GraphNodeClass]

    @classmethod
    def from_object_info(cls, info: Mapping[str, Any]) -> Self:
        """Extract the catalog from the answer of `GET /object_info` (ComfyUI 0.3.64 to 0.33.0).

        Custom classes may declare anything; what has another shape than expected is ignored.
        """
        return cls(
            {name: _digest(found) for name, found in info.items() if isinstance(found, Mapping)}
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` of this, an older or a newer version wrote.

        Raises:
            ValueError: *text* is no such text.
        """
        try:
            found = json.loads(zlib.decompress(base64.b85decode(text)))
            lists = [tuple(names) for names in found["lists"]]
            return cls({name: _unpacked(row, lists) for name, row in found["classes"].items()})
        except (ValueError, zlib.error, KeyError, TypeError, IndexError) as exc:
            raise ValueError(f"this is no catalog: {exc}") from exc

    def to_text(self) -> str:
        """Return it as base85 of zlib of JSON: about 6 kB for the 633 classes of a plain ComfyUI 0.33."""
        return base64.b85encode(zlib.compress(self._json, 9)).decode()

    @cached_property
    def sha(self) -> str:
        """SHA-256 of the content in hex; independent of platform and of the classes' order."""
        return hashlib.sha256(self._json).hexdigest()

    def serves(self, needs: Needs) -> bool:
        """Tell whether the node has the models and classes that a queue's jobs need; ignores the pool."""
        return self._model_paths.issuperset(map(plain_name, needs.models)) and all(
            name in self.classes for name in needs.classes
        )

    @cached_property
    def _model_paths(self) -> frozenset[str]:
        return frozenset(map(plain_name, self.models))

    def with_own_spelling(self, graph: Graph) -> Graph:
        """Return *graph* with the names of models as this node lists them; unknown names stay.

        A graph may be made on one system and run on another: a node on Windows lists `sub\\x.pt`,
        any other `sub/x.pt`, and ComfyUI compares letter for letter.
        """
        return {node_id: self._spelled(found) for node_id, found in graph.items()}

    def _spelled(self, found: GraphNode) -> GraphNode:
        known = self.classes.get(found["class_type"])
        changed = {}
        for name, choices in known.models.items() if known else ():
            value = literal(found["inputs"].get(name))
            own = own_spelling(value, choices) if isinstance(value, str) else None
            if own is not None and own != value:
                changed[name] = own
        return {**found, "inputs": {**found["inputs"], **changed}} if changed else found

    @cached_property
    def models(self) -> frozenset[str]:
        """Every model file that any of the classes offers."""
        return frozenset(
            name for one in self.classes.values() for names in one.models.values() for name in names
        )

    def models_of(self, graph: Graph) -> frozenset[str]:
        """Return the model files that *graph* names, as this node lists them."""
        named = (
            (literal(found["inputs"].get(name)), choices)
            for found in graph.values()
            if (known := self.classes.get(found["class_type"]))
            for name, choices in known.models.items()
        )
        return frozenset(name for name, choices in named if name in choices)

    def outputs_of(self, class_type: str) -> int | None:
        """Return how many outputs the class has; None if it is not known."""
        found = self.classes.get(class_type)
        return found.outputs if found else None

    def files_of(self, class_type: str) -> tuple[str, ...]:
        """Return the inputs of the class that name an uploaded file."""
        found = self.classes.get(class_type)
        return found.files if found else ()

    def is_core(self, class_type: str) -> bool:
        """Tell whether the class comes with ComfyUI itself."""
        found = self.classes.get(class_type)
        return bool(found and found.is_core)

    def is_partner(self, class_type: str) -> bool:
        """Tell whether each execution of the class is paid for."""
        found = self.classes.get(class_type)
        return bool(found and found.is_partner)

    def can_run(self, graph: Graph) -> bool:
        """Tell whether the node has every class and model of *graph*."""
        return next(self._lacks(graph), None) is None

    def has(self, lack: Missing) -> bool:
        """Tell whether this node has a class, or lists a model for the same input, that another lacks."""
        known = self.classes.get(lack.class_type)
        if known is None or lack.input is None:
            return known is not None
        return own_spelling(lack.name, known.models.get(lack.input, ())) is not None

    def missing(self, graph: Graph) -> list[Missing]:
        """Return what the node lacks for *graph*."""
        return list(self._lacks(graph))

    def _lacks(self, graph: Graph) -> Iterator[Missing]:
        for graph_node, found in graph.items():
            class_type = found["class_type"]
            known = self.classes.get(class_type)
            if known is None:
                yield Missing(graph_node, class_type, None, class_type, self.classes)
                continue
            for name, choices in known.models.items():
                value = literal(found["inputs"].get(name))
                if isinstance(value, str) and own_spelling(value, choices) is None:
                    yield Missing(graph_node, class_type, name, value, choices)

    @cached_property
    def _json(self) -> bytes:
        # Many classes list the same files: each list is written once and referred to by its index.
        lists = sorted({names for one in self.classes.values() for names in one.models.values()})
        index = {names: number for number, names in enumerate(lists)}
        classes = {
            name: [
                one.outputs,
                int(one.is_output),
                one.files,
                {input_: index[names] for input_, names in one.models.items()},
                int(one.is_core),
                *([1] if one.is_partner else []),
            ]
            for name, one in self.classes.items()
        }
        return json.dumps(
            {"classes": classes, "lists": lists}, sort_keys=True, separators=(",", ":")
        ).encode()


def _digest(info: Mapping[str, Any]) -> GraphNodeClass:
    outputs = info.get("output")
    module = str(info.get("python_module")).split(".")[0]
    files: list[str] = []
    models: dict[str, tuple[str, ...]] = {}
    for name, kind, options in _inputs(info):
        if any(option.endswith("_upload") and options[option] for option in options):
            files.append(name)
        elif (choices := _choices(kind, options)) is not None and _are_models(name, choices):
            models[name] = choices
    return GraphNodeClass(
        outputs=len(outputs) if isinstance(outputs, list) else None,
        is_output=info.get("output_node") is True,
        files=tuple(files),
        models=models,
        is_core=module in _CORE_MODULES,
        is_partner=module == _PARTNERS,
    )


def _inputs(info: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    groups = info.get("input")
    for group in ("required", "optional"):
        found = groups.get(group) if isinstance(groups, Mapping) else None
        for name, spec in found.items() if isinstance(found, Mapping) else ():
            if isinstance(spec, list) and spec:
                has_options = len(spec) > 1 and isinstance(spec[1], dict)
                yield name, spec[0], spec[1] if has_options else {}


def _choices(kind: Any, options: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return a combo's texts, declared `[[...], {}]` or `["COMBO", {"options": [...]}]`; else None."""
    choices = options.get("options") if kind == "COMBO" else kind
    if not isinstance(choices, list):
        return None
    return tuple(choice for choice in choices if isinstance(choice, str))


def _are_models(name: str, choices: tuple[str, ...]) -> bool:
    return name in _MODEL_INPUTS or any(
        choice.lower().endswith(_MODEL_SUFFIXES) for choice in choices
    )


def _nearest(name: str, choices: Iterable[str]) -> list[str]:
    # Case and separator are ignored: a model name from Windows often differs in these alone.
    spellings = {choice: loose(choice) for choice in choices}
    # difflib's default of 0.6 matches every model: they all end in .safetensors.
    near = near_names(loose(name), spellings.values(), count=3, cutoff=0.7)
    return [choice for spelling in near for choice in spellings if spellings[choice] == spelling]


def _unpacked(row: list[Any], lists: list[tuple[str, ...]]) -> GraphNodeClass:
    outputs, is_output, files, models = row[:4]
    return GraphNodeClass(
        outputs=outputs,
        is_output=bool(is_output),
        files=tuple(files),
        models={name: lists[number] for name, number in models.items()},
        is_core=bool(row[4]) if len(row) > _OLD_ROW else False,
        is_partner=bool(row[5]) if len(row) > _ROW_BEFORE else False,
    )
