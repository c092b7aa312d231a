"""Deletes what the fleet had a node make, and nothing else.

The fleet has graphs save below `comfyfleet/`, a folder an attempt; and, where a class takes plain
names only, in files whose names begin with `comfyfleet-`. Only these are deleted, wherever a
request, a link or a mount would lead.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Below it lies what the fleet's graphs save.
OURS = "comfyfleet"
#: So begin the names of files that lie elsewhere.
OUR_NAMES = f"{OURS}-"


class Refused(ValueError):
    """What is named is none of ours."""


def delete(
    files: Sequence[Any],
    folders: Mapping[str, Path],
    settle: Callable[[str], object] = lambda _path: None,
) -> dict[str, Any]:
    """Delete *files*, and the folders of ours that are empty then.

    Args:
        files: `{"filename", "subfolder", "type"}` each, as ComfyUI's history lists them.
        folders: the folder that each `type` means.
        settle: called with each path first, lest it is still written.

    Returns:
        `{"deleted": n, "missing": n, "refused": [{"file", "reason"}, ...]}`. What is not there is
        missing, so that a request may be sent twice.
    """
    counts = {"deleted": 0, "missing": 0}
    refused = []
    for file in files:
        try:
            counts["deleted" if _delete_one(file, folders, settle) else "missing"] += 1
        except Refused as exc:
            refused.append({"file": file, "reason": str(exc)})
        except (OSError, ValueError, RuntimeError) as exc:  # a NUL in a name; a loop of links
            reason = getattr(exc, "strerror", None) or str(exc)
            refused.append({"file": file, "reason": reason})
    return {**counts, "refused": refused}


def _delete_one(file: Any, folders: Mapping[str, Path], settle: Callable[[str], object]) -> bool:
    """Delete one file; tell whether it was there."""
    home, path = _located(file, folders)
    settle(str(path))
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        remove_empty(path.parent, home)
        return False
    if not stat.S_ISREG(mode):
        raise Refused("no regular file")
    path.unlink(missing_ok=True)
    remove_empty(path.parent, home)
    return True


def _located(file: Any, folders: Mapping[str, Path]) -> tuple[Path, Path]:
    """Return the folder that stays even if it is empty, and where the file is in it or below."""
    if not isinstance(file, dict):
        raise Refused("no object")
    name, subfolder, kind = (file.get(key) for key in ("filename", "subfolder", "type"))
    if not (isinstance(name, str) and isinstance(subfolder, str) and isinstance(kind, str)):
        raise Refused("filename, subfolder and type are text")
    if kind not in folders:
        raise Refused(f"type is one of {', '.join(sorted(folders))}")
    # Windows knows both, and ComfyUI lists subfolders with its own.
    parts = subfolder.replace("\\", "/").split("/") if subfolder else []
    is_ours = parts[:1] == [OURS] and bool(parts[1:])
    if not (is_ours or name.startswith(OUR_NAMES)) or not {"", ".", ".."}.isdisjoint(parts):
        raise Refused(f"not below {OURS}/")
    if name in {"", ".", ".."} or "/" in name or "\\" in name:
        raise Refused("not the name of a file")
    top = folders[kind].resolve()
    folder = top.joinpath(*parts)
    if folder.resolve() != folder:  # a link, or a drive's letter, leads elsewhere
        raise Refused(f"not below {OURS}/")
    # What is called by a name of ours lies in a folder of somebody else's.
    return (top / OURS if is_ours else folder), folder / name


def remove_empty(folder: Path, home: Path) -> None:
    """Remove *folder* if it is empty, and those above it; not *home*, where a prompt may be about to make its own."""
    while folder != home:
        try:
            folder.rmdir()
        except OSError:  # it is not empty, or somebody else was quicker
            return
        folder = folder.parent
