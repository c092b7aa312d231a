"""What a check of a graph tells: which nodes can run it, what the others lack, and which values a job may set."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from producer.contract.nodes import NodeState


class _Told(BaseModel):
    # Answers of a newer version may have more fields.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ParamType(StrEnum):
    """What kind of value an input takes. ComfyUI's own words, where it has one."""

    INT = "INT"
    FLOAT = "FLOAT"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    COMBO = "COMBO"  #: One of `choices`, where the nodes say which.
    MODEL = "MODEL"  #: The name of a model file, one of `choices`.
    FILE = "FILE"  #: A file that the graph reads: a job hands it in among its `inputs`.
    JSON = "JSON"  #: Any other value.


class ParamForm(_Told):
    """An input that a job may set, by its address among `params`, or `inputs` for a file.

    Args:
        title: of the graph node, as the editor shows it, where it has one.
        default: the graph's own value, which counts where a job sets none.
        min, max: bounds of a number, inclusive, where a node compares with them.
        choices: what a node takes, where it is a list; that of the node that takes most, if they differ.
        more_choices: how many are left out.
    """

    graph_node: str
    class_type: str
    input: str
    title: str | None = None
    type: ParamType
    default: Any = None
    min: float | int | None = None
    max: float | int | None = None
    choices: list[Any] | None = None
    more_choices: int = 0


class Lack(_Told):
    """A class or a model that a graph needs, and a node has not.

    Args:
        input: which names the model; None for a class.
        nearest: the most similar names that the node has.
    """

    graph_node: str
    class_type: str
    input: str | None = None
    name: str
    nearest: list[str] = Field(default_factory=list)


class Refusal(_Told):
    """A value that a node would refuse."""

    graph_node: str
    input: str
    message: str
    advice: str | None = None


class NodeFit(_Told):
    """Whether a living node can run a graph, and if not, why.

    Args:
        is_known: whether it has told which classes and models it has.
        more_lacks: how many are left out of `lacks`.
    """

    node: str
    pool: str
    state: NodeState
    can_run: bool
    is_known: bool = True
    lacks: list[Lack] = Field(default_factory=list)
    more_lacks: int = 0
    refuses: list[Refusal] = Field(default_factory=list)


_EXAMPLE: Final[dict[str, Any]] = {
    "template": "5cf4a3e3e55a4a7c1a0b6b6a5f1f1e7a0e5b8a9b2a0d7a4f6c3e2d1c0b9a8f7e",
    "graph_nodes": 7,
    "runs_on": 1,
    "nodes": [
        {"node": "gpu-01", "pool": "default", "state": "ready", "can_run": True, "is_known": True},
        {
            "node": "gpu-02",
            "pool": "default",
            "state": "ready",
            "can_run": False,
            "is_known": True,
            "lacks": [
                {
                    "graph_node": "4",
                    "class_type": "CheckpointLoaderSimple",
                    "input": "ckpt_name",
                    "name": "film_v2.safetensors",
                    "nearest": ["film_v1.safetensors"],
                }
            ],
        },
    ],
    "models": ["film_v2.safetensors"],
    "params": {
        "3.seed": {
            "graph_node": "3",
            "class_type": "KSampler",
            "input": "seed",
            "title": "KSampler",
            "type": "INT",
            "default": 0,
            "min": 0,
            "max": 18446744073709551615,
        }
    },
}


class GraphCheck(_Told):
    """What is known of a graph before a job is made of it.

    Args:
        template: SHA-256 of the graph's canonical JSON, as of jobs.
        runs_on: how many of the `nodes` have all of it, whatever their state is.
        models: that it names, parts joined by `/`.
        params: by address with the graph node's id, as `3.seed`, in the graph's order.
        more_params: how many are left out.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", json_schema_extra={"examples": [_EXAMPLE]}
    )

    template: str
    graph_nodes: int
    runs_on: int
    nodes: list[NodeFit]
    models: list[str]
    params: dict[str, ParamForm]
    more_params: int = 0
