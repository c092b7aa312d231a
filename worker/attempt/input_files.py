"""Transfers a job's input files from S3 to its node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from producer.contract.errors import InvalidInput
from producer.contract.jobs import InputFile
from producer.storage.object_keys import extension_of
from producer.storage.object_store import ObjectStore
from worker.comfyui.client import ComfyUI
from worker.errors import RequestTooLarge

#: Under the node's input folder. Files there are named by their content, so they are shared.
FOLDER: Final = "comfyfleet"

#: Before the name of a file that is among a node's inputs already.
_AT_NODE: Final = "node:"


class InputFiles:
    """Copies input files from S3 to one node, each content once."""

    def __init__(self, objects: ObjectStore, comfyui: ComfyUI) -> None:
        self._objects = objects
        self._comfyui = comfyui

    def transfer(self, inputs: Mapping[str, InputFile], spool: Path) -> dict[str, str]:
        """Have every input file at the node; return the value for each address.

        Args:
            spool: a folder for the time in between.

        Raises:
            StorageError: S3 does not give a file out, or not as it was handed in.
            InvalidInput: a bucket that is not the fleet's does not give a file out.
            RequestTooLarge: the node does not take one for its size; the message names the
                submitter's file.
            NodeError: the node does not answer, or not as a ComfyUI does.
        """
        return {
            address: self._transferred(address, file, spool) for address, file in inputs.items()
        }

    def _transferred(self, address: str, file: InputFile, spool: Path) -> str:
        if file.source.startswith(_AT_NODE):
            return file.source.removeprefix(_AT_NODE)
        if file.sha256 and file.bytes is not None:
            name = _name(file.sha256, file.name)
            if self._comfyui.has_input(name, FOLDER, size_bytes=file.bytes):
                return f"{FOLDER}/{name}"
        path = spool / "input"
        try:
            fetched = self._objects.fetch(file.source, path, sha256=file.sha256)
        except InvalidInput as exc:
            exc.field, exc.graph_node = f"inputs.{address}", address.rpartition(".")[0]
            raise
        try:
            return self._comfyui.upload(
                path, name=_name(fetched.sha256, file.name), subfolder=FOLDER
            )
        except RequestTooLarge as exc:
            graph_node = address.rpartition(".")[0]
            what = f"{file.name[:80]} ({path.stat().st_size:,} bytes) for {address}"
            raise RequestTooLarge(exc.node, what, graph_node=graph_node) from exc
        finally:
            path.unlink()


def uploaded(inputs: Mapping[str, InputFile]) -> frozenset[str]:
    """Return the addresses of the files that a worker uploads: not of those that a node has."""
    return frozenset(
        address for address, file in inputs.items() if not file.source.startswith(_AT_NODE)
    )


def _name(sha256: str, original: str) -> str:
    # Half of the hash is more than enough among the files of one node.
    return sha256[:32] + extension_of(original)
