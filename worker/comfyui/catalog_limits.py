"""Limits on the catalog that a node may announce, as every worker and producer reads it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from producer.contract.classes.catalog import Catalog
from worker.foreign_data import TooMuch

#: A ComfyUI 0.33.0 has 633 classes; one with two hundred extensions, about 6,000.
MOST_CLASSES: Final = 20_000
#: Characters of the name of a class or an input.
LONGEST_NAME: Final = 500
#: Characters of a choice: what a file system takes as a path.
LONGEST_CHOICE: Final = 4_096
#: Bytes of all of it as it is kept, before it is packed: some hundred thousand names of models.
MOST_BYTES: Final = 32 << 20


def check_catalog(catalog: Catalog) -> None:
    """Refuse what no ComfyUI can run.

    Raises:
        TooMuch: naming the limit.
    """
    if len(catalog.classes) > MOST_CLASSES:
        raise TooMuch(f"with {len(catalog.classes):,} classes, more than {MOST_CLASSES:,}")
    size = 0
    for name, found in catalog.classes.items():
        size += _checked([name, *found.files, *found.models], LONGEST_NAME, "a name")
        for choices in found.models.values():
            size += _checked(choices, LONGEST_CHOICE, "a choice")
    if size > MOST_BYTES:
        raise TooMuch(f"with names of {size:,} characters, more than {MOST_BYTES:,}")


def _checked(texts: Iterable[str], longest: int, what: str) -> int:
    """Return how many characters there are."""
    size = 0
    for text in texts:
        if len(text) > longest:
            raise TooMuch(f"with {what} of {len(text):,} characters, more than {longest:,}")
        size += len(text)
    return size
