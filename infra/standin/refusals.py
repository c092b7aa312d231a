"""Refusals: the error objects of ComfyUI's validation, with its types, keys and their order."""

from __future__ import annotations

import traceback
from typing import Any

from infra.standin.catalog import spec
from infra.standin.graph_nodes.class_declaration import Input

Reason = dict[str, Any]

_CONVERSIONS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_LONGEST_LISTED_COMBO = 20


def error(type_: str, message: str, details: str = "", **extra_info: Any) -> Reason:
    """Return one error object as ComfyUI writes it."""
    return {"type": type_, "message": message, "details": details, "extra_info": extra_info}


def missing(name: str) -> Reason:
    """Return the error for a required input that is not given."""
    return error("required_input_missing", "Required input is missing", name, input_name=name)


def bad_link(name: str, declared: Input, link: list[Any]) -> Reason:
    """Return the error for a list that is no ``[graph node id, slot]``."""
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    return error("bad_linked_input", message, name, **_about(name, declared, link))


def mismatch(name: str, declared: Input, received: str, link: list[Any]) -> Reason:
    """Return the error for a link whose output has another type than the input."""
    details = f"{name}, received_type({received}) mismatch input_type({declared.type})"
    about = {"input_name": name, "input_config": spec(declared), "received_type": received}
    message = "Return type mismatch between linked nodes"
    return error("return_type_mismatch", message, details, **about, linked_node=link)


def custom(name: str, reason: str) -> Reason:
    """Return the error for a value that the class's own validation refuses."""
    message = "Custom validation failed for node"
    return error("custom_validation_failed", message, f"{name} - {reason}", input_name=name)


def exception(type_: str, exc: Exception, **extra_info: Any) -> Reason:
    """Return the error for an exception in validation, as for a link to a missing graph node."""
    inner = "inner node" if "inner" in type_ else "node"
    raised = {
        "exception_type": type(exc).__name__,
        "traceback": traceback.format_tb(exc.__traceback__),
    }
    return error(type_, f"Exception when validating {inner}", str(exc), **extra_info, **raised)


def _about(name: str, declared: Input, value: Any) -> dict[str, Any]:
    return {"input_name": name, "input_config": spec(declared), "received_value": value}


def check_value(name: str, declared: Input, given: dict[str, Any], *, listed: bool) -> list[Reason]:
    """Convert the value in place, check its limits and, if *listed*, its combo; return the errors."""
    value = given[name]
    if isinstance(value, dict) and "__value__" in value:
        value = given[name] = value["__value__"]
    convert = _CONVERSIONS.get(declared.type) if isinstance(declared.type, str) else None
    try:
        value = given[name] = convert(value) if convert else value
    except (TypeError, ValueError, OverflowError) as exc:
        message = f"Failed to convert an input value to a {declared.type} value"
        about = {**_about(name, declared, value), "exception_message": str(exc)}
        return [error("invalid_input_type", message, f"{name}, {value}, {exc}", **about)]
    wrong = _check_limits(name, declared, value)
    return wrong or (_check_combo(name, declared, value) if listed else [])


def _check_limits(name: str, declared: Input, value: Any) -> list[Reason]:
    least, most = declared.config.get("min"), declared.config.get("max")
    about = _about(name, declared, value)
    if least is not None and value < least:
        message = f"Value {value} smaller than min of {least}"
        return [error("value_smaller_than_min", message, name, **about)]
    if most is not None and value > most:
        message = f"Value {value} bigger than max of {most}"
        return [error("value_bigger_than_max", message, name, **about)]
    return []


def _check_combo(name: str, declared: Input, value: Any) -> list[Reason]:
    options = declared.config.get("options") if declared.type == "COMBO" else declared.type
    many = value if declared.config.get("multiselect") and isinstance(value, list) else [value]
    if not isinstance(options, list) or all(one in options for one in many):
        return []
    about, shown = _about(name, declared, value), str(options)
    if len(options) > _LONGEST_LISTED_COMBO:
        about["input_config"], shown = None, f"(list of length {len(options)})"
    details = f"{name}: {value!r} not in {shown}"
    return [error("value_not_in_list", "Value not in list", details, **about)]
