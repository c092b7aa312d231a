"""Checkpoints of a node, and where a real one on this machine keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests


def checkpoints(url: str) -> list[str]:
    """Return the checkpoints that the node lists, the smallest file first where it is on this machine."""
    found = _json(f"{url}/models/checkpoints")
    if not found:
        raise SystemExit(f"{url} has no checkpoint: random weights will do")
    return sorted(found, key=lambda name: _size(checkpoint_file(url, name)))


def checkpoint_file(url: str, name: str) -> Path | None:
    """Return the file of a checkpoint if it is on this machine; None of a stand-in's."""
    answer = requests.get(f"{url}/internal/folder_paths", timeout=10)
    folders = answer.json().get("checkpoints", []) if answer.ok else []
    files = (Path(folder, name) for folder in folders if isinstance(folder, str))
    return next((file for file in files if file.is_file()), None)


def _size(file: Path | None) -> int:
    return file.stat().st_size if file else 0


def _json(url: str) -> Any:
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return answer.json()
