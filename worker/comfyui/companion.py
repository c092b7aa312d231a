"""The companion of a node (`infra/companion_node`), where it has one; without it nothing is asked."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

import requests

from worker.comfyui.connection import SMALL_READ_S, Connection
from worker.comfyui.history import OutputFile
from worker.errors import ExecutorEnded, NodeError

_STATUS: Final = "/comfyfleet/v1/status"
_FAILED: Final = "/comfyfleet/v1/failed"
_PRELOAD: Final = "/comfyfleet/v1/preload"
_DELETE: Final = "/comfyfleet/v1/delete"
_MOST_MEMORY: Final = 1 << 50  #: Bytes; no machine has as much.
_LONGEST_S: Final = 1e9  #: No ComfyUI runs for longer.
_MOST_MODELS: Final = 64  #: It takes so many names at once.
_MOST_FILES: Final = 1000  #: It takes so many at once.
_LONGEST_TYPE: Final = 200  #: Characters of an exception's class that are kept.
_LONGEST_MESSAGE: Final = 2_000
_OURS: Final = "comfyfleet"  #: The folder below which it deletes.

#: What a ComfyUI says to GET and to POST where it has no such route.
_NO_ROUTE: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompanionStatus:
    """What the companion says of its ComfyUI; None where that does not let it know.

    Args:
        executes: whether the thread lives that executes prompts; if not, only a restart helps.
        vram_free: bytes.
        gained_s: seconds of encoding that no render waited for, since ComfyUI began.
    """

    executes: bool | None
    vram_free: int | None
    gained_s: float | None = None

    @classmethod
    def parse(cls, answer: dict[str, Any]) -> Self:
        """Parse the answer of its route; fields that a newer companion adds are ignored."""
        executor, memory = _object(answer.get("executor")), _object(answer.get("memory"))
        encoding = _object(answer.get("encoding"))
        return cls(
            gained_s=_gained_s(encoding.get("encoded_s"), encoding.get("blocked_s")),
            executes=_known(executor.get("alive"), bool),
            vram_free=known_bytes(memory.get("vram_free")),
        )


class Companion:
    """One node's companion; any number of threads may use it at once."""

    def __init__(self, http: Connection) -> None:
        self._http = http
        self._is_there = False  # until `find` has found it
        self._preloads = False
        self._models: frozenset[str] = frozenset()  # of the last prompt that was posted

    def find(self) -> CompanionStatus | None:
        """Return as `status` does, after checking anew whether the node has a companion.

        To be called whenever the node may be another ComfyUI than before.
        """
        self._is_there = self._preloads = True
        self._models = frozenset()
        return self.status()

    def status(self) -> CompanionStatus | None:
        """Return how the node is; None if it has no companion.

        Raises:
            NodeError: the node does not answer.
        """
        if not self._is_there:
            return None
        response = self._http.send("GET", _STATUS, read_s=SMALL_READ_S)
        if self._has_no_route(response):
            return None
        return CompanionStatus.parse(self._http.object_in(response))

    def check_executes(self) -> CompanionStatus | None:
        """Return as `status` does, if nothing speaks against the node's executing prompts.

        Raises:
            ExecutorEnded: it answers, but the thread has ended that executes.
            NodeError: it does not answer.
        """
        status = self.status()
        if status is not None and status.executes is False:
            raise ExecutorEnded(
                self._http.node, "its executing thread has ended; only a restart of ComfyUI helps"
            )
        return status

    def failure_of(self, output: OutputFile) -> tuple[str, str] | None:
        """Return class and message of what the node raised when it was to write *output*.

        None if it did not, or has no companion that can tell.
        """
        if not self._is_there:
            return None
        asked = {"files": [_named(output)]}
        try:
            response = self._http.send("POST", _FAILED, json=asked, read_s=SMALL_READ_S)
            if response.status_code in _NO_ROUTE:  # an older companion, which writes at once
                return None
            told = self._http.object_in(response).get("failed")
        except NodeError as exc:
            _log.warning("why %s is missing is not known: %s", output, exc)
            return None
        first = _object(told[0]) if isinstance(told, list) and told else {}
        kind, message = first.get("exception_type"), first.get("exception_message")
        if not isinstance(kind, str) or not isinstance(message, str):
            return None
        return kind[:_LONGEST_TYPE], message[:_LONGEST_MESSAGE]

    def on_posted(self, models: frozenset[str], *, is_ahead: bool) -> None:
        """Tell it the models of a prompt that is about to be posted, so that it reads new ones.

        Args:
            models: as the node lists them.
            is_ahead: whether the prompt waits behind another; else the node reads them anyway.
        """
        new, self._models = models - self._models, models
        if not (new and is_ahead and self._is_there and self._preloads):
            return
        asked = {"models": sorted(new)[:_MOST_MODELS]}
        try:
            response = self._http.send("POST", _PRELOAD, json=asked, read_s=SMALL_READ_S)
            self._preloads = response.status_code not in _NO_ROUTE  # an older one reads nothing
        except NodeError as exc:
            _log.warning("the next models are not announced: %s", exc)

    def delete_outputs(self, outputs: Iterable[OutputFile]) -> None:
        """Delete what was delivered from the node's disk, as far as that can be done.

        To be called after the commit: then nothing asks for the files any more. What stays behind
        costs nothing but its place.
        """
        ours = [_named(output) for output in outputs if _is_ours(output)]
        try:
            for start in range(0, len(ours), _MOST_FILES):
                if self._is_there:
                    self._delete(ours[start : start + _MOST_FILES])
        except NodeError as exc:
            _log.warning("delivered files stay on their node: %s", exc)

    def _delete(self, files: list[dict[str, str]]) -> None:
        response = self._http.send("POST", _DELETE, json={"files": files}, read_s=SMALL_READ_S)
        if self._has_no_route(response):
            return
        refused = self._http.object_in(response).get("refused")
        if refused:
            _log.warning("node %s keeps delivered files: %.300s", self._http.node, ascii(refused))

    def _has_no_route(self, response: requests.Response) -> bool:
        self._is_there = response.status_code not in _NO_ROUTE
        return not self._is_there


def _is_ours(output: OutputFile) -> bool:
    # Others may still be named by a later prompt, from the node's cache.
    return output.type != "input" and output.subfolder.replace("\\", "/").startswith(f"{_OURS}/")


def _named(output: OutputFile) -> dict[str, str]:
    return {"filename": output.filename, "subfolder": output.subfolder, "type": output.type}


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def known_bytes(found: Any) -> int | None:
    """Return a size of memory that a node may say, in bytes; None for anything else."""
    is_size = isinstance(found, int) and not isinstance(found, bool)
    return found if is_size and 0 <= found < _MOST_MEMORY else None


def _gained_s(encoded_s: Any, blocked_s: Any) -> float | None:
    numbers = [one for one in (encoded_s, blocked_s) if type(one) in (int, float)]
    if len(numbers) < 2 or not all(0 <= one < _LONGEST_S for one in numbers):  # noqa: PLR2004
        return None
    return max(0.0, float(numbers[0] - numbers[1]))


def _known(found: Any, kind: type[Any]) -> Any:
    return found if isinstance(found, kind) else None
