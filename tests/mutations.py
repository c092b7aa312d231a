"""Changes JSON as no honest server would: missing parts, other types, huge, deep, odd text."""

from __future__ import annotations

import random
from typing import Any, Final

ODD_TEXTS: Final = (
    "",
    "\ud800",
    "\x1b]8;;http://x\x07click\x1b]8;;\x07",
    "[/]x[bold]",
    "a\nb\r\0c",
    "\u202egnp.exe",
    "x" * 100_000,
    "../../etc/passwd",
    "9" * 5_000,
)
ODD_VALUES: Final = (
    *(None, True, False, 0, -1, 1 << 70, 10**400, 1.5, float("nan"), float("inf")),
    *([], {}, [[]], [None], {"": None}, {"a": {"b": {"c": []}}}),
    *ODD_TEXTS,
)
_DEEP: Final = 400


def mutated(found: Any, chance: random.Random) -> Any:
    """Return *found*, which may be changed itself, with one to three of its parts made odd."""
    for _ in range(chance.randint(1, 3)):
        found = _once(found, chance)
    return found


def _once(found: Any, chance: random.Random) -> Any:
    """Go down by chance and change what is there."""
    if isinstance(found, dict) and found and chance.random() < 0.85:
        key = chance.choice(list(found))
        match chance.random():
            case chosen if chosen < 0.08:
                del found[key]
            case chosen if chosen < 0.16:
                found[chance.choice(ODD_TEXTS)] = found.pop(key)
            case _:
                found[key] = _once(found[key], chance)
        return found
    if isinstance(found, list) and found and chance.random() < 0.85:
        at = chance.randrange(len(found))
        match chance.random():
            case chosen if chosen < 0.08:
                del found[at]
            case chosen if chosen < 0.16:
                found[at:at] = [found[at]] * 50
            case _:
                found[at] = _once(found[at], chance)
        return found
    return _odd(found, chance)


def _odd(found: Any, chance: random.Random) -> Any:
    match chance.randrange(5):
        case 0:
            return _nested(_DEEP)
        case 1:
            return [found]
        case 2:
            return {"x": found}
        case _:
            return chance.choice(ODD_VALUES)


def _nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found
