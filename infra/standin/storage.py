"""Storage of a stand-in node: its input, output and temp folders, and the rules for names in them."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from infra.standin.options import StandinOptions

#: The three folders that ``type`` can name in `/view`, `/upload/image` and history entries.
FOLDER_TYPES = ("input", "output", "temp")

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
    """The folders below one directory; temp is emptied when the node starts, as in ComfyUI."""

    def __init__(self, options: StandinOptions) -> None:
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
        counter = 1 + _highest_counter(folder, stem)
        return SaveTarget(folder=folder, subfolder=subfolder, stem=stem, counter=counter, type=kind)


def _filled(prefix: str, *, width: int, height: int) -> str:
    for token, value in {"width": str(width), "height": str(height)}.items():
        prefix = prefix.replace(f"%{token}%", value)
    clock = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
    for token, code in clock.items():
        prefix = prefix.replace(f"%{token}%", time.strftime(code))
    return prefix


def _highest_counter(folder: Path, stem: str) -> int:
    numbered = re.compile(re.escape(stem) + r"_(\d+)", re.IGNORECASE)
    found = (numbered.match(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in found if match), default=0)
