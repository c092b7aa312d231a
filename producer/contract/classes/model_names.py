r"""Names of models: a node on Windows lists `sub\x.safetensors`, one on Linux `sub/x.safetensors`.

ComfyUI (0.3.64, 0.33.0; `execution.validate_inputs`) compares a value with its list letter for
letter, so a graph from one system is refused by the other. To the fleet both are one name.
"""

from __future__ import annotations

from collections.abc import Iterable


def plain_name(name: str) -> str:
    """Return *name* with its parts joined by `/`, as it is written in what nodes share."""
    return name.replace("\\", "/")


def own_spelling(name: str, choices: Iterable[str]) -> str | None:
    """Return how a node that offers *choices* writes *name*; None if it does not offer it."""
    offered = tuple(choices)
    if name in offered:
        return name
    plain = plain_name(name)
    if "/" not in plain:
        return None
    return next((choice for choice in offered if plain_name(choice) == plain), None)


def loose(name: str) -> str:
    """Return *name* for a search of what is near it: another case or separator is no distance."""
    return plain_name(name).casefold()
