r"""Model names: a node on Windows lists `sub\x.safetensors`, one on Linux `sub/x.safetensors`.

ComfyUI (0.3.64, 0.33.0; `execution.validate_inputs`) compares a value with its list letter for
letter, so each system refuses the other's spelling. The fleet treats both as one name.
"""

from __future__ import annotations

from collections.abc import Iterable


def plain_name(name: str) -> str:
    """Return *name* with `/` as separator, as queue names and records have it."""
    return name.replace("\\", "/")


def own_spelling(name: str, choices: Iterable[str]) -> str | None:
    """Return *name* as it stands in a node's list *choices*; None if it is not there."""
    offered = tuple(choices)
    if name in offered:
        return name
    plain = plain_name(name)
    if "/" not in plain:
        return None
    return next((choice for choice in offered if plain_name(choice) == plain), None)


def loose(name: str) -> str:
    """Return *name* with `/` and casefolded, for a search of similar names."""
    return plain_name(name).casefold()
