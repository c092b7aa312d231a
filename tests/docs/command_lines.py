"""Finds `comfyfleet` commands in shell text, and says what is wrong with one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile

from tests.docs.command_tree import commands, groups

#: What ends a command on a line of shell.
_ENDS = re.compile(r"\|\||&&|[;()<>&]| \| |$", re.MULTILINE)
_CALLED = re.compile(r"(?:^|[\s(`/])comfyfleet +(?=[a-z-])", re.MULTILINE)
_ALWAYS = {"--help", "--version", "--install-completion"}


def calls(shell: str) -> Iterator[str]:
    """Give each call of `comfyfleet` in some lines of shell, without the name itself."""
    text = re.sub(r"\\\n", " ", shell)
    text = re.sub(r"\s#.*$", "", text, flags=re.MULTILINE)
    for found in _CALLED.finditer(text):
        ends = _ENDS.search(text, found.end())
        yield text[found.end() : ends.start() if ends else None].strip()


def find_fault(call: str) -> str | None:
    """Return what is wrong with a call; None if every word of it is known.

    A prose form is a call, too: `batch show|list ID` means both, and `[--option]` may be left out.
    """
    words = shlex.split(re.sub(r"[\[\]…]", " ", call).replace("\\|", "|"))
    path = list(takewhile(lambda word: not word.startswith("-"), words))
    wanted = _alternatives(path[:2])
    if not words or words[0] in _ALWAYS or (words[0] in groups() and len(path) == 1):
        return None
    for names in wanted:
        command = commands().get(names) or commands().get(names[:1])
        if command is None:
            return f"there is no command {' '.join(names)!r}"
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        unknown = [name for name in options if name not in {*command.options, *_ALWAYS}]
        if unknown:
            return f"comfyfleet {' '.join(command.words)} has no option {', '.join(unknown)}"
    return None


def _alternatives(path: list[str]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for word in path:
        found = [(*names, one) for names in found for one in word.split("|")]
    return found
