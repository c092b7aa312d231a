"""ComfyUI's refusal of a graph, parsed: sentences for a person, and the classes or models it lacks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from producer.contract.classes.catalog import Missing

_SHOWN_FAULTS: Final = 8
_SHOWN_CHARACTERS: Final = 300

#: ComfyUI 0.3.64 names the graph node of an unknown class nowhere but in these texts.
_NODE_ID: Final = re.compile(r"#([^']+)")
#: A class's own judgement of a value, and a comparison with its list.
_OF_A_VALUE: Final = frozenset({"custom_validation_failed", "value_not_in_list"})
_CLASS: Final = re.compile(r"because node (.+) does not exist")


@dataclass(frozen=True)
class Refusal:
    """A refused graph, or the refused part of one.

    Args:
        message: what is wrong where, for a person.
        node_errors: `{graph_node_id: {"class_type": str, "errors": [...]}}`, ComfyUI's own list;
            an unknown class, which it keeps out of that list, is entered in the same form.
    """

    message: str
    node_errors: dict[str, Any]

    @classmethod
    def read(cls, body: dict[str, Any]) -> Self:
        """Read the answer to `POST /prompt`: a 400, or a 200 that holds `node_errors`.

        Raises:
            ValueError: it gives no reason, as every ComfyUI does (0.3.64, 0.33.0).
        """
        error = _object(body.get("error"))
        node_errors = _object(body.get("node_errors")) or _unknown_class(error)
        faults = list(_faults(node_errors))
        if not faults:
            said = _whole(error) or _text(body.get("error"))
            if not said:
                raise ValueError("it gives no reason")
            return cls(said, {})
        shown = "; ".join(faults[:_SHOWN_FAULTS])
        more = len(faults) - _SHOWN_FAULTS
        return cls(f"{shown}; and {more} more" if more > 0 else shown, node_errors)


def lacks_in(node_errors: Mapping[str, Any]) -> list[Missing]:
    """Return which classes and files a node lacks, if it refused a graph for nothing else."""
    lacks = []
    for graph_node, entry in node_errors.items():
        class_type = _object(entry).get("class_type")
        for error in _errors(entry):
            lack = _lack(graph_node, class_type, _object(error))
            if lack is None:
                return []
            lacks.append(lack)
    return lacks


def blames_only(node_errors: Mapping[str, Any], inputs: Collection[str]) -> bool:
    """Return whether all that ComfyUI refused are values of *inputs*, each as `graph_node.input`.

    LoadImage and its like look whether the file is there; others compare with a list of files.
    """
    blamed = [
        _is_value_of(graph_node, _object(error), inputs)
        for graph_node, entry in node_errors.items()
        for error in _errors(entry)
    ]
    return bool(blamed) and all(blamed)


def _is_value_of(graph_node: str, error: dict[str, Any], inputs: Collection[str]) -> bool:
    name = _object(error.get("extra_info")).get("input_name")
    return error.get("type") in _OF_A_VALUE and f"{graph_node}.{name}" in inputs


def _lack(graph_node: str, class_type: Any, error: dict[str, Any]) -> Missing | None:
    if not isinstance(class_type, str):
        return None  # it is the graph that names no class
    match error:
        case {"type": "missing_node_type"}:
            return Missing(graph_node, class_type, None, class_type)
        case {
            "type": "value_not_in_list",
            "extra_info": {"input_name": str(name), "received_value": str(value)},
        }:
            return Missing(graph_node, class_type, name, value)
    return None


def _whole(error: dict[str, Any]) -> str:
    """Return the reason of a refusal that blames no graph node."""
    message, details = _text(error.get("message")), _text(error.get("details"))
    if error.get("type") == "prompt_outputs_failed_validation" and not details:
        details = "ComfyUI does not say why; 0.3.64 does so for a cycle of links"
    return _joined(message, details)


def _faults(node_errors: dict[str, Any]) -> Iterator[str]:
    """Yield one phrase a fault: the graph node, its class, the input, what was expected."""
    for graph_node, entry in node_errors.items():
        place = f"graph node {graph_node} ({_object(entry).get('class_type')})"
        for error in _errors(entry):
            if isinstance(error, dict) and error:
                yield _phrase(place, error)


def _phrase(place: str, error: dict[str, Any]) -> str:
    extra = _object(error.get("extra_info"))
    name = _text(extra.get("input_name"))
    if error.get("type") == "missing_node_type":
        return f"{place}: this ComfyUI does not have the class"
    said, details = _text(error.get("message")), _text(error.get("details"))
    if name:
        place = f"{place}, input {name}"
        details = _without_name(details, name)
    if _choices(extra) == []:
        details += ": the node has none to choose from"
    if thrown := _text(extra.get("exception_type")):
        details = f"{thrown} {details}"  # a KeyError's text alone is just the key
    return f"{place}: {_joined(said, details)}"


def _unknown_class(error: dict[str, Any]) -> dict[str, Any]:
    """Return a `node_errors` for an unknown class, as 0.3.64 or 0.11 and newer tell of it."""
    message, details = _text(error.get("message")), _text(error.get("details"))
    extra = _object(error.get("extra_info"))
    if error.get("type") == "missing_node_type":
        graph_node, class_type = extra.get("node_id"), extra.get("class_type")
    elif (node := _NODE_ID.search(details)) and (name := _CLASS.search(message)):
        graph_node, class_type = node[1], name[1]
    else:
        return {}
    entry = {"type": "missing_node_type", "message": message, "details": details}
    return {str(graph_node): {"class_type": class_type, "errors": [entry]}}


def _without_name(details: str, name: str) -> str:
    """Return *details* without the input's name, which ComfyUI puts first or makes the whole of."""
    for mark in (": ", ", ", " - "):
        if details.startswith(name + mark):
            return details.removeprefix(name + mark)
    return "" if details == name else details


def _choices(extra: dict[str, Any]) -> Any:
    config = extra.get("input_config")
    return config[0] if isinstance(config, list) and config else None


def _joined(message: str, details: str) -> str:
    if not details or details == message:
        return message
    return f"{message}: {details}"


def _errors(entry: Any) -> list[Any]:
    found = _object(entry).get("errors")
    return found if isinstance(found, list) else []


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: Any) -> str:
    text = found if isinstance(found, str) else ""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
