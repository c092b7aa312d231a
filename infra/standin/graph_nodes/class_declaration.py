"""What a graph node class is made of: its inputs as `/object_info` shows them, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from infra.standin.options import StandinOptions
from infra.standin.storage import Storage

#: An IMAGE in a stand-in: one Pillow picture for each member of the batch.
Pictures = list[Image.Image]


@dataclass(frozen=True)
class Input:
    """One declared input: its type (``INT``, ``IMAGE``, …, or the list of a combo) and its limits."""

    type: str | list[str]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFile:
    """A combo of the model files of one kind, as the node has them now."""

    kind: str


@dataclass(frozen=True)
class InputFile:
    """A combo of the files in the input folder; the class checks the name itself."""


Declared = Input | ModelFile | InputFile


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a graph node hands on: values for its output slots, and ``ui`` for history."""

    values: tuple[Any, ...] = ()
    ui: dict[str, list[Any]] | None = None


@dataclass(frozen=True)
class Blocked:
    """The value of an output slot that keeps what takes it from being executed, as ExecutionBlocker."""


class OutOfMemory(RuntimeError):
    """What a graph node raises for want of video memory; clients see `torch.OutOfMemoryError`."""


class Bench(Protocol):
    """What a running graph node may use."""

    @property
    def options(self) -> StandinOptions:
        """How this stand-in behaves."""

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
        """Which prompt, and which job if ``extra_data`` names one, the work is done for."""

    def queue_again(self, graph: dict[str, Any]) -> None:
        """Queue *graph* in front, under an id of its own, with all else that the prompt has."""

    def work(self, seconds: float) -> None:
        """Take up time, as the GPU would."""

    def load_model(self, name: str) -> None:
        """Make *name* the warm model; takes the load time unless it is warm already."""

    def progress(
        self, value: float, total: float, preview: Image.Image | None = None, *, kind: str = "JPEG"
    ) -> None:
        """Report progress; this is where a running graph node notices an interrupt."""

    def count_render(self) -> None:
        """Note in the journal that the sampler ran."""


@dataclass(frozen=True, kw_only=True)
class GraphNodeClass:
    """A class of graph nodes.

    ``run`` gets the bench and the inputs by name. ``check`` is the class's own validation: it gets the
    storage and the inputs and returns what is wrong, as ``{input name: reason}``. ``fingerprint`` tells
    the cache what else the result depends on. ``restyled`` classes declare combos in the newer form
    since 0.33, and ``current_outputs`` are the slots that 0.33 added. ``module`` is where it is said to
    come from: those that the stand-in takes for ComfyUI's own are told so by the catalog.
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
