"""Catalog of a stand-in: its graph node classes, and the answer of `/object_info`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    Declared,
    GraphNodeClass,
    Input,
    InputFile,
    ModelFile,
    Result,
)
from infra.standin.graph_nodes.contract_tests import CONTRACT
from infra.standin.graph_nodes.images import IMAGES
from infra.standin.graph_nodes.loading import LOADERS
from infra.standin.graph_nodes.odd_savers import MODEL_SAVERS, ODD_SAVERS
from infra.standin.graph_nodes.pictures import PICTURES
from infra.standin.graph_nodes.sampling import CONDITIONING, SAMPLING
from infra.standin.graph_nodes.saving import SAVERS, save_pictures
from infra.standin.options import StandinOptions
from infra.standin.painter import paint
from infra.standin.storage import Storage

_EXTRA_SIDE = 512


class Catalog:
    """The classes of one stand-in node; combos list the model and input files that it has now."""

    def __init__(self, options: StandinOptions, storage: Storage) -> None:
        self._options = options
        self._storage = storage
        core = (*IMAGES, *LOADERS, *CONDITIONING, *SAMPLING, *SAVERS, *MODEL_SAVERS, *CONTRACT)
        known = (*(replace(one, module="nodes") for one in core), *ODD_SAVERS, *PICTURES)
        extra = (_extra_class(name, info) for name, info in options.classes.items())
        self._classes = {one.name: one for one in (*known, *extra)}

    def find(self, name: Any) -> GraphNodeClass | None:
        """Return the class called *name*, or None."""
        return self._classes.get(name) if isinstance(name, str) else None

    def outputs(self, known: GraphNodeClass) -> tuple[str, ...]:
        """Return the types of the class's output slots in the ComfyUI version that is imitated."""
        return known.outputs or (known.current_outputs if self._options.is_current else ())

    def inputs(self, known: GraphNodeClass) -> dict[str, Input]:
        """Return the declared inputs, required ones first, with the choices of their combos."""
        return {name: self._filled(one, known) for name, one in known.inputs.items()}

    def object_info(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Return what `/object_info` answers for *names*, or for every class."""
        chosen = self._classes if names is None else names
        return {name: self._describe(self._classes[name]) for name in chosen}

    def _filled(self, declared: Declared, known: GraphNodeClass) -> Input:
        match declared:
            case ModelFile(kind):
                return Input(list(self._options.models.get(kind, ())))
            case InputFile():
                return Input(self._storage.input_names(), {"image_upload": True})
            case Input(list() as options) if known.restyled and self._options.is_current:
                return Input("COMBO", {"multiselect": False, "options": options})
            case _:
                return declared

    def _describe(self, known: GraphNodeClass) -> dict[str, Any]:
        filled = self.inputs(known)
        groups = {"required": known.required, "optional": known.optional}
        used = {group: names for group, names in groups.items() if names}
        outputs = self.outputs(known)
        return {
            "input": {
                group: {name: spec(filled[name]) for name in names} for group, names in used.items()
            },
            "input_order": {group: list(names) for group, names in used.items()},
            "output": list(outputs),
            "output_is_list": [False] * len(outputs),
            "output_name": list(outputs),
            "name": known.name,
            "display_name": known.name,
            "description": "",
            "python_module": known.module,
            "category": "standin",
            "output_node": known.is_output,
        }


def spec(declared: Input) -> list[Any]:
    """Return an input as `/object_info` and validation errors write it."""
    return [declared.type, dict(declared.config)] if declared.config else [declared.type]


def _extra_class(name: str, info: Mapping[str, Any]) -> GraphNodeClass:
    groups = info.get("input", {})
    required, optional = (
        {key: Input(*value) for key, value in groups.get(group, {}).items()}
        for group in ("required", "optional")
    )
    outputs = tuple(info.get("output", ()))
    is_output = bool(info.get("output_node"))
    types = {key: one.type for key, one in (required | optional).items()}

    def run(bench: Bench, **values: Any) -> Result:
        by_type = {types[key]: value for key, value in reversed(values.items())}
        if is_output and "IMAGE" in by_type:
            return save_pictures(bench, images=by_type["IMAGE"], filename_prefix=name)
        ui = {"text": [name]} if is_output else None
        made = tuple(by_type.get(type_, _made_up(type_, bench, name)) for type_ in outputs)
        return Result(values=made, ui=ui)

    return GraphNodeClass(
        name=name,
        run=run,
        required=required,
        optional=optional,
        outputs=outputs,
        is_output=is_output,
    )


def _made_up(type_: str, bench: Bench, name: str) -> Any:
    if type_ == "IMAGE":
        return [paint(_EXTRA_SIDE, _EXTRA_SIDE, {**bench.facts, "made_by": name})]
    return f"{name} {type_}"
