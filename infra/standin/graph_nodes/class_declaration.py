"""Class declaration: a graph node class's inputs and outputs as in `/object_info`, and its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from infra.standin.options import StandinOptions
from infra.standin.storage import Storage

#: An IMAGE in a stand-in: one Pillow picture for each member of the batch.
Pictures = list[Image.Image]


@dataclass(frozen=True)
class Input:
    """One declared input: its type (``INT``, ``IMAGE``, …, or a combo's choices) and its options."""

    type: str | list[str]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFile:
    """A combo of the node's model files of one kind."""

    kind: str


@dataclass(frozen=True)
class InputFile:
    """A combo of the files in the input folder; the class checks the name itself."""


Declared = Input | ModelFile | InputFile


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a graph node: values of its output slots, and ``ui`` for history."""

    values: tuple[Any, ...] = ()
    ui: dict[str, list[Any]] | None = None


@dataclass(frozen=True)
class Blocked:
    """The value of an output slot whose takers are not executed, as ComfyUI's ExecutionBlocker."""


class OutOfMemory(RuntimeError):
    """Raised by a graph node that lacks video memory; clients see `torch.OutOfMemoryError`."""


class Bench(Protocol):
    """The services of the running prompt that a graph node may use."""

    @property
    def options(self) -> StandinOptions:
        """The stand-in's options."""

    @property
    def storage(self) -> Storage:
        """The node's folders."""

    @property
    def graph(self) -> Mapping[str, Any]:
        """The whole graph of the running prompt, converted."""

    @property
    def extra_data(self) -> Mapping[str, Any]:
        """The prompt's ``extra_data``."""

    @property
    def facts(self) -> dict[str, Any]:
        """The prompt id, and the job id if ``extra_data`` has one, for `paint`."""

    def save_picture(self, picture: Image.Image, path: Path, **options: Any) -> None:
        """Encode *picture* as the file *path*, by Pillow's *options*; with the companion, soon."""

    def queue_again(self, graph: dict[str, Any]) -> None:
        """Queue *graph* before all others, with a new id and the rest of the running prompt."""

    def work(self, seconds: float) -> None:
        """Sleep for *seconds*, as if the GPU computed."""

    def load_model(self, name: str) -> None:
        """Load the model *name*; takes the load time unless it is loaded."""

    def progress(
        self, value: float, total: float, preview: Image.Image | None = None, *, kind: str = "JPEG"
    ) -> None:
        """Report progress; raises if the prompt was interrupted."""

    def count_render(self) -> None:
        """Count a render in the journal."""


@dataclass(frozen=True, kw_only=True)
class GraphNodeClass:
    """A class of graph nodes.

    ``run`` gets a `Bench` and the inputs by name. ``check`` is the class's own validation: it gets the
    storage and the inputs and returns errors as ``{input name: reason}``. ``fingerprint`` returns what
    else the result depends on, for the cache. ``restyled`` classes declare combos in the newer form
    since 0.33, and ``current_outputs`` are the slots that 0.33 added. ``module`` is the
    ``python_module`` of `/object_info`; the catalog sets it for ComfyUI's own classes.
    """

    name: str
    run: Callable[..., Result]
    required: Mapping[str, Declared] = field(default_factory=dict)
    optional: Mapping[str, Declared] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    current_outputs: tuple[str, ...] = ()
    is_output: bool = False
    restyled: bool = False
    module: str = "custom_nodes.standin"
    check: Callable[[Storage, Mapping[str, Any]], dict[str, str]] | None = None
    fingerprint: Callable[[Storage, Mapping[str, Any]], str] | None = None

    @property
    def inputs(self) -> dict[str, Declared]:
        """Every declared input, required ones first."""
        return {**self.required, **self.optional}


def integer(default: int, least: int, most: int) -> Input:
    """Declare an INT with its limits."""
    return Input("INT", {"default": default, "min": least, "max": most})


def decimal(default: float, least: float, most: float) -> Input:
    """Declare a FLOAT with its limits."""
    return Input("FLOAT", {"default": default, "min": least, "max": most})


def words(default: str = "") -> Input:
    """Declare a STRING."""
    return Input("STRING", {"default": default})


def choice(*options: str) -> Input:
    """Declare a combo of fixed options."""
    return Input(list(options))
