"""Parts of Lua scripts: the functions, tables and constants that scripts share, each given to those alone that use it.

Redis runs a script from its first line each time, so each function that it declares is made anew, used or not: all of
them took a fourth of a submission's time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

#: What is no name, and what may be one; a name in front of a text must not be taken for one in it.
_TOKEN: Final = re.compile(
    r"""--[^\n]* | '(?:\\.|[^'\\\n])*' | "(?:\\.|[^"\\\n])*" | (?P<name>[A-Za-z_]\w*)""", re.VERBOSE
)
_DECLARED: Final = re.compile(r"local (?:function )?(\w+(?:, \w+)*)")
#: Where a declaration may end: at the next one, or at what is said before it.
_NEXT: Final = re.compile(r"^(?=local |--)", re.MULTILINE)


class Part(NamedTuple):
    """A declaration at the outermost level, as far as to the next one.

    Args:
        names: what it declares.
        uses: all names in it, its own included.
    """

    names: frozenset[str]
    text: str
    uses: frozenset[str]


def names_in(text: str) -> frozenset[str]:
    """Return each name in Lua code: of variables, functions and fields, and words of the language."""
    return frozenset(found["name"] for found in _TOKEN.finditer(text) if found["name"])


def parts_of(text: str) -> Iterator[Part]:
    """Split Lua code into its declarations; each begins with `local` at the beginning of a line."""
    for declaration in _NEXT.split(text):
        if declared := _DECLARED.match(declaration):
            names = frozenset(declared[1].split(", "))
            yield Part(names, declaration.rstrip() + "\n", names_in(declaration))


def with_used_parts(script: str, parts: Iterable[Part]) -> str:
    """Return a script behind those of the parts that it uses, or that one of these does.

    A part is used by those after it, as Lua has it.
    """
    wanted, used = names_in(script), [script]
    for part in reversed(list(parts)):
        if part.names & wanted:
            wanted |= part.uses
            used.append(part.text)
    return "".join(reversed(used))
