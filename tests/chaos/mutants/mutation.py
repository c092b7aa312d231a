"""What a seeded bug is: which lines become which, and what must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """Some text of one file that stands there once, and what it becomes."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A bug: its edits, the scenario that meets it and the invariant that it breaks there."""

    name: str
    scenario: str
    invariant: str
    edits: tuple[Edit, ...]


def mutant(name: str, scenario: str, invariant: str, *edits: tuple[str, str, str]) -> Mutant:
    """Return a bug whose edits are given as path, old text and new text."""
    return Mutant(name, scenario, invariant, tuple(Edit(*edit) for edit in edits))


def apply(mutant: Mutant, tree: Path) -> None:
    """Change the product in *tree*.

    Raises:
        ValueError: the lines to change are not there any more, or not only once.
    """
    for edit in mutant.edits:
        path = tree / edit.path
        text = path.read_text("utf-8")
        if text.count(edit.old) != 1:
            times = text.count(edit.old)
            raise ValueError(f"{mutant.name}: {edit.path} has {times} times {edit.old!r}")
        path.write_text(text.replace(edit.old, edit.new), "utf-8")
