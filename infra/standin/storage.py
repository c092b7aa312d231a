"""Storage of a stand-in node: its input, output and temp folders, and the rules for names in them."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.companion_node.encoding_pool import EncodingPool
from infra.standin.options import StandinOptions

#: The three folders that ``type`` can name in `/view`, `/upload/image` and history entries.
FOLDER_TYPES = ("input", "output", "temp")

#: A file that is still to be written is waited for so long, s.
_SETTLE_S = 30.0

_ANNOTATION = re.compile(r"(?P<name>.*) \[(?P<type>input|output|temp)\]$", re.DOTALL)


class OutsideFolder(ValueError):
    """A name leads out of its folder."""


@dataclass(frozen=True, kw_only=True)
class SaveTarget:
    """The files that a saving graph node writes: ``<folder>/<stem>_<counter>_<extension>``."""

    folder: Path
    subfolder: str
    stem: str
    counter: int
    type: str

    def name(self, extension: str, *, index: int = 0) -> str:
        """Return the file name of the *index*-th picture of a batch, as SaveImage forms it."""
        stem = self.stem.replace("%batch_num%", str(index))
        return f"{stem}_{self.counter + index:05}_{extension}"

    def entry(self, filename: str) -> dict[str, str]:
        """Return the history entry's object for one file of this target."""
        return {"filename": filename, "subfolder": self.subfolder, "type": self.type}


class Storage:
    """The folders below one directory; temp is emptied when the node starts, as in ComfyUI.

    `pool` is the companion's, which writes pictures whose names were given before; else None.
    """

    def __init__(self, options: StandinOptions) -> None:
        has_pool = options.companion and options.encoding_threads > 0
        self.pool = EncodingPool(threads=options.encoding_threads) if has_pool else None
        self._directory = options.directory.resolve()
        self._confines_inputs = options.is_current
        shutil.rmtree(self.folder("temp"), ignore_errors=True)
        for kind in FOLDER_TYPES:
            self.folder(kind).mkdir(parents=True, exist_ok=True)

    def folder(self, kind: str) -> Path:
        """Return the folder that ``type=kind`` names."""
        return self._directory / kind

    def within(self, kind: str, *parts: str) -> Path:
        """Return the path of *parts* below a folder.

        Raises:
            OutsideFolder: the path leaves the folder.
        """
        base = self.folder(kind)
        path = base.joinpath(*parts).resolve()
        if not path.is_relative_to(base):
            raise OutsideFolder(f"{'/'.join(parts)} is outside the {kind} folder")
        return path

    def input_names(self) -> list[str]:
        """Return the choices of LoadImage: files directly in the input folder."""
        return sorted(path.name for path in self.folder("input").iterdir() if path.is_file())

    def annotated_path(self, name: str) -> Path:
        """Return the path of ``name`` or ``name [type]``, as LoadImage resolves it.

        Raises:
            OutsideFolder: the name leads out of its folder, which 0.3.64 allows.
        """
        annotated = _ANNOTATION.match(name)
        kind, bare = (annotated["type"], annotated["name"]) if annotated else ("input", name)
        return self.within(kind, bare) if self._confines_inputs else self.folder(kind) / bare

    def is_there(self, path: Path) -> bool:
        """Tell whether there is such a file, or its name was given."""
        return path.exists() or bool(self.pool and self.pool.is_waiting(path))

    def settle(self, path: Path) -> Path:
        """Return *path* once it is written, if its name was given; waits up to 30 s."""
        if self.pool:
            self.pool.wait(path, _SETTLE_S)
        return path

    def close(self) -> None:
        """Give up what is not written, as a process that ends."""
        if self.pool:
            self.pool.close()

    def save_target(
        self, prefix: str, *, kind: str = "output", width: int = 0, height: int = 0
    ) -> SaveTarget:
        """Return the target for *prefix*, with the counter after the highest one on the disk.

        The name of a deleted file may be used again, as in ComfyUI 0.3.64 and 0.33.0.

        Raises:
            OutsideFolder: the prefix leaves the folder.
        """
        filled = _filled(prefix, width=width, height=height)
        subfolder, _, stem = filled.rpartition("/")
        try:
            folder = self.within(kind, subfolder)
        except OutsideFolder:
            message = "Saving image outside the output folder is not allowed."
            raise OutsideFolder(message) from None
        folder.mkdir(parents=True, exist_ok=True)
        given = (
            [path.name for path in self.pool.names() if path.parent == folder] if self.pool else []
        )
        counter = 1 + _highest_counter([*given, *(path.name for path in folder.iterdir())], stem)
        return SaveTarget(folder=folder, subfolder=subfolder, stem=stem, counter=counter, type=kind)


def _filled(prefix: str, *, width: int, height: int) -> str:
    for token, value in {"width": str(width), "height": str(height)}.items():
        prefix = prefix.replace(f"%{token}%", value)
    clock = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
    for token, code in clock.items():
        prefix = prefix.replace(f"%{token}%", time.strftime(code))
    return prefix


def _highest_counter(names: Iterable[str], stem: str) -> int:
    numbered = re.compile(re.escape(stem) + r"_(\d+)", re.IGNORECASE)
    found = map(numbered.match, names)
    return max((int(match[1]) for match in found if match), default=0)
