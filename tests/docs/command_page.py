"""The page of every command, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.docs.command_tree import Command, Parameter, commands, groups, status_line

_TOP = """\
# Command

Written by `python -m tests.docs` from the commands themselves; do not edit.

Data goes to stdout, talk to stderr. With `--json`, each line is one JSON object. `comfyfleet COMMAND --help` says the same
as this page; `comfyfleet --install-completion` teaches your shell the words.

{status}

| to | command |
| --- | --- |
"""


def page() -> str:
    """Return the whole page."""
    parts = [_TOP.format(status=_statuses()) + "\n".join(_overview())]
    told: set[str] = set()
    for command in commands().values():
        group = command.words[0]
        if len(command.words) > 1 and group not in told:
            told.add(group)
            parts.append(f"## {group}\n\n{groups()[group]}")
        parts.append(_section(command))
    return "\n\n".join(parts).rstrip() + "\n"


def _statuses() -> str:
    before, _, rest = status_line().partition(": ")
    rows = [part.strip(" .").split(" ", 1) for part in rest.split(",")]
    lines = [f"| {number} | {meaning} |" for number, meaning in rows]
    return "\n".join([f"| {before.lower()} | |", "| --- | --- |", *lines])


def _overview() -> Iterator[str]:
    for command in commands().values():
        name = " ".join(command.words)
        yield f"| {_first_sentence(command.help)} | [`comfyfleet {name}`](#{_anchor(command)}) |"


def _section(command: Command) -> str:
    level = "###" if len(command.words) > 1 else "##"
    parts = [
        f"{level} comfyfleet {' '.join(command.words)}",
        _prose(command.help),
        f"```text\n{command.usage}\n```",
    ]
    if command.parameters:
        rows = [_row(parameter) for parameter in command.parameters]
        parts.append("\n".join(["| | | default |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def _row(parameter: Parameter) -> str:
    told = _cell(parameter.help)
    if parameter.repeats:
        told = f"{told} May be given again.".strip()
    if parameter.variable:
        told = f"{told} Also `{parameter.variable}`.".strip()
    default = parameter.default
    if default not in {"", "required"}:
        default = f"`{default}`"
    return f"| `{_cell(parameter.spelled)}` | {told} | {default} |"


def _anchor(command: Command) -> str:
    return "-".join(("comfyfleet", *command.words))


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _first_sentence(text: str) -> str:
    return re.split(r"[.;:]", _prose(text), maxsplit=1)[0]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")
