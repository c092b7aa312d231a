"""What `comfyfleet` takes, read from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer

from producer.cli import processes
from producer.cli.main import app

#: Commands that become another process, with the module whose command that is.
_BECOME: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "worker": ("worker", ()),
    "hooks": ("producer.webhooks", ()),
    "up": ("infra.local", ("up",)),
    "demo": ("infra.local", ("demo",)),
}


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command.

    Args:
        spelled: as one writes it, as `--set ADDRESS=VALUE`.
        names: of an option, each with its dashes; none of an argument.
        takes_value: whether the next word belongs to it.
        repeats: whether an option may be given more than once.
    """

    spelled: str
    help: str
    names: tuple[str, ...] = ()
    takes_value: bool = False
    default: str = ""
    variable: str = ""
    repeats: bool = False


@dataclass(frozen=True)
class Command:
    """One command, by the words that call it."""

    words: tuple[str, ...]
    help: str
    parameters: tuple[Parameter, ...]

    @property
    def options(self) -> dict[str, Parameter]:
        """Its options by each of their names."""
        return {name: parameter for parameter in self.parameters for name in parameter.names}

    @property
    def usage(self) -> str:
        """The line that shows its arguments in their order."""
        arguments = [p.spelled for p in self.parameters if not p.names]
        options = ["[OPTIONS]"] if any(p.names for p in self.parameters) else []
        return " ".join(("comfyfleet", *self.words, *options, *arguments))


@cache
def commands() -> dict[tuple[str, ...], Command]:
    """Return every command by its words, in the order in which `--help` lists them."""
    return {command.words: command for command in _below((), typer.main.get_command(app))}


@cache
def groups() -> dict[str, str]:
    """Return what each group of commands is for, by its word."""
    tree: Any = typer.main.get_command(app)
    return {name: group.help for name, group in tree.commands.items() if hasattr(group, "commands")}


def status_line() -> str:
    """Return what the command says of its exit status."""
    return str(typer.main.get_command(app).epilog)


def _below(words: tuple[str, ...], found: Any) -> Iterator[Command]:
    if words and words[0] in _BECOME:
        found = _becomes(words[0])
    if hasattr(found, "commands"):
        for name, command in found.commands.items():
            yield from _below((*words, name), command)
        return
    parameters = [_parameter(p) for p in found.params if not getattr(p, "hidden", False)]
    yield Command(words, found.help or "", tuple(parameters))


def _becomes(word: str) -> Any:
    module, below = _BECOME[word]
    assert module in processes._HIDDEN, f"comfyfleet {word} starts another module"
    spec = find_spec(module)
    is_package = spec is not None and spec.submodule_search_locations is not None
    found: Any = typer.main.get_command(
        import_module(f"{module}.__main__" if is_package else module).app
    )
    for name in below:
        found = found.commands[name]
    return found


def _parameter(parameter: Any) -> Parameter:
    if parameter.param_type_name == "argument":
        return Parameter(spelled=_argument(parameter), help=_help(parameter))
    metavar = "" if parameter.is_flag else parameter.metavar or _word(parameter)
    return Parameter(
        spelled=f"{parameter.opts[0]} {metavar}".strip(),
        names=(*parameter.opts, *parameter.secondary_opts),
        takes_value=not parameter.is_flag,
        help=_help(parameter),
        default=_default(parameter),
        variable=parameter.envvar if isinstance(parameter.envvar, str) else "",
        repeats=bool(parameter.multiple),
    )


def _argument(parameter: Any) -> str:
    word = parameter.metavar or parameter.name.upper()
    if parameter.nargs != 1 and not word.endswith("..."):
        word += "..."
    return word if parameter.required else f"[{word}]"


def _word(parameter: Any) -> str:
    return str(parameter.name).rpartition("_")[2].upper()


def _help(parameter: Any) -> str:
    return (getattr(parameter, "help", "") or "").strip()


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.is_flag or default is None or default == "" or callable(default):
        return "required" if parameter.required else ""
    return f"{default:g}" if isinstance(default, float) else str(default)
