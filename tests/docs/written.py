"""Which pages, and which parts of pages, are written from the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.docs import (
    command_page,
    errors_page,
    filters_page,
    fleet_picture,
    key_tables,
    life_pictures,
    problems_page,
    python_page,
    settings_table,
)

DOCS: Final = Path(__file__).parents[2] / "docs"

#: Whole pages.
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "pictures/fleet.svg": fleet_picture.fleet,
    "pictures/life.svg": life_pictures.life,
    "pictures/statuses.svg": life_pictures.statuses,
    "problems/index.md": problems_page.page,
    "reference/cli.md": command_page.page,
    "reference/errors.md": errors_page.page,
    "reference/python.md": python_page.page,
}
#: Parts, by page and by the name in their marks.
PARTS: Final[Mapping[tuple[str, str], Callable[[], str]]] = {
    ("reference/settings.md", "settings"): settings_table.table,
    ("reference/keys.md", "Redis keys"): key_tables.redis,
    ("reference/keys.md", "S3 keys"): key_tables.s3,
    ("reference/filters.md", "fields"): filters_page.table,
    ("reference/filters.md", "rules"): filters_page.rules,
}


def write_all() -> None:
    """Write all of them anew."""
    for name in names():
        (DOCS / name).write_text(as_written(name))


def names() -> list[str]:
    """Return the pages that hold anything written from the code."""
    return sorted({*PAGES, *(name for name, _ in PARTS)})


def as_written(name: str) -> str:
    """Return a page as it should be."""
    if name in PAGES:
        return PAGES[name]()
    text = (DOCS / name).read_text()
    for (page, part), make in PARTS.items():
        if page == name:
            text = replaced(text, part, make())
    return text


def replaced(text: str, part: str, content: str) -> str:
    """Return a page with another content between the marks of one part.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = marks(part)
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"no marks of {part!r}: {begin} and {end}")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def marks(part: str) -> tuple[str, str]:
    """Return what stands before and after a part."""
    return (
        f"<!-- {part}: written by `python -m tests.docs`. -->",
        f"<!-- End of {part}. -->",
    )
