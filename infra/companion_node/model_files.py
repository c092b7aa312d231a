"""Model files by the names that ComfyUI lists, as of 0.3.64 and 0.33.0 (`folder_paths.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import folder_paths  # type: ignore[import-not-found]

#: Not models, though they are folders of files that are listed.
_OTHERS = {"custom_nodes", "configs"}


def files_named(name: str) -> Iterator[Path]:
    """Yield the files that are listed under *name*, whatever kind of model they are.

    A name that ComfyUI does not list, as one that leads out of its folders, has none.
    """
    for kind in list(folder_paths.folder_names_and_paths):
        if kind not in _OTHERS and name in folder_paths.get_filename_list(kind):
            path = folder_paths.get_full_path(kind, name)
            if path:
                yield Path(path)
