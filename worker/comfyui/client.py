"""Client for ComfyUI's HTTP routes, with the methods that a worker needs.

The facts are those of versions 0.3.64 and 0.33.0; both must work.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from packaging.version import Version

from producer.contract.config.node_address import NodeAddress
from producer.contract.errors import InvalidGraph
from worker.comfyui.companion import Companion
from worker.comfyui.connection import READ_S, SMALL_READ_S, Connection
from worker.comfyui.continuations import find_next
from worker.comfyui.downloads import Download, open_download
from worker.comfyui.history import HistoryEntry, OutputFile
from worker.comfyui.model_lists import digest_of_models
from worker.comfyui.refusal import Refusal
from worker.comfyui.uploads import is_stored, upload_file
from worker.errors import NodeError, PromptRejected, RequestTooLarge
from worker.foreign_data import LARGE_BYTES, read_as_expected

_log = logging.getLogger(__name__)

_NUMBERS: Final = re.compile(r"\d{1,9}(\.\d{1,9})*")


class PromptPlace(StrEnum):
    """Where a node has a prompt."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"  #: In its history; how it ended stands there.
    UNKNOWN = "unknown"  #: Never arrived, deleted while queued, or forgotten by a restart.


class ComfyUI:
    """One node's ComfyUI; up to sixteen threads may use it at once.

    Every method raises NodeUnreachable, NodeTimeout or NodeFault where the node does; they are
    named below only where they mean more than that.

    Args:
        url: its address, as `http://10.0.0.7:8188`, or with what a proxy before it wants.
        node: the node's name, for messages.
        read_s: seconds of silence after which an answer is given up.
        info_s: the same for `/object_info`, which a node with many custom nodes makes up anew for
            each who asks.
    """

    def __init__(
        self,
        url: str | NodeAddress,
        *,
        node: str,
        read_s: float = READ_S,
        info_s: float | None = None,
    ) -> None:
        self._node = node
        self._info_s = info_s or read_s
        address = NodeAddress.parse(url) if isinstance(url, str) else url
        self._http = Connection(address, node=node, read_s=read_s)
        self.companion = Companion(self._http)
        self._has_job_routes = True  # until it says otherwise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the kept connections."""
        self.close()

    def close(self) -> None:
        """Close the kept connections; a later call opens new ones."""
        self._http.close()

    def system_stats(self) -> dict[str, Any]:
        """Return `{"system": {"comfyui_version", "ram_total", ...}, "devices": [...]}`."""
        return self._http.get_object("/system_stats", read_s=SMALL_READ_S)

    @cached_property
    def version(self) -> Version:
        """ComfyUI's version, asked once; 0 when it does not say."""
        system = self.system_stats().get("system")
        said = str(system.get("comfyui_version")) if isinstance(system, dict) else ""
        numbers = _NUMBERS.search(said)
        return Version(numbers[0] if numbers else "0")

    def object_info(self) -> dict[str, Any]:
        """Return `{class: {"input": {...}, "output_node": bool, ...}}`; megabytes on some nodes."""
        return self._http.object_in(
            self._http.send("GET", "/object_info", silence_s=self._info_s, limit_bytes=LARGE_BYTES)
        )

    def digest_of_models(self) -> str | None:
        """Return what changes when `object_info` might; see `model_lists.digest_of_models`."""
        return digest_of_models(self._http)

    def queue_remaining(self) -> int:
        """Return how many prompts wait or run, anybody's; the cheapest sign of life."""
        response = self._http.send("GET", "/prompt", read_s=SMALL_READ_S)
        info = self._http.object_in(response).get("exec_info")
        remaining = info.get("queue_remaining") if isinstance(info, dict) else None
        if not isinstance(remaining, int):
            raise self._http.fault(response, "without the length of its queue")
        return remaining

    def queue_prompt(
        self,
        graph: dict[str, Any],
        *,
        prompt_id: str,
        client_id: str,
        extra_data: dict[str, Any] | None = None,
    ) -> None:
        """Queue *graph* (API format) under a prompt id of our choosing.

        Args:
            client_id: of the event socket that shall hear of it.
            extra_data: kept with the prompt and shown to whoever reads the node's history;
                `extra_pnginfo` in it goes into saved pictures.

        Raises:
            PromptRejected: the graph is not valid on this node; nothing of it stays queued.
            RequestTooLarge: it is too large for the node, or for a proxy before it.
            InvalidGraph: it cannot be written as JSON.
            NodeUnreachable, NodeTimeout, NodeFault: **the prompt may be queued all the same**;
                `find_prompt` tells. Posted again it would run again.
        """
        body: dict[str, Any] = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        if extra_data is not None:  # a null ends the executing thread of ComfyUI 0.3.64
            body["extra_data"] = extra_data
        response = self._http.send(
            "POST", "/prompt", data=_json(body), headers={"Content-Type": "application/json"}
        )
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise RequestTooLarge(self._node, f"the graph of {len(graph)} graph nodes")
        if response.status_code == HTTPStatus.BAD_REQUEST:
            raise self._rejection(self._http.decoded(response))
        answer = self._http.object_in(response)
        if (errors := answer.get("node_errors")) and isinstance(errors, dict):
            # The good outputs alone are queued, and would run to a success.
            self._cancel_unwanted(prompt_id)
            raise self._rejection(answer)
        if answer.get("prompt_id") != prompt_id:
            self._cancel_unwanted(answer.get("prompt_id"))
            raise self._http.fault(response, "with a prompt id that is not ours")

    def _rejection(self, answer: dict[str, Any]) -> PromptRejected:
        with read_as_expected(self._node, "its refusal of the graph"):
            refusal = Refusal.read(answer)
        message = f"ComfyUI refused the graph: {refusal.message}"
        return PromptRejected(self._node, message, refusal.node_errors)

    def _cancel_unwanted(self, prompt_id: Any) -> None:
        """Cancel a prompt that should not be there; the reason why goes before how that went."""
        if not isinstance(prompt_id, str):
            return
        try:
            self.cancel(prompt_id)
        except NodeError as exc:
            _log.warning("node %s: prompt %s stays behind: %s", self._node, prompt_id, exc)

    def find_prompt(self, prompt_id: str) -> PromptPlace:
        """Tell where the node has the prompt."""
        # The queue first: the other way round, a prompt that ends in between is in neither.
        queue = self._http.get_object("/queue", limit_bytes=LARGE_BYTES)
        if _holds(queue.get("queue_running"), prompt_id):
            return PromptPlace.RUNNING
        if _holds(queue.get("queue_pending"), prompt_id):
            return PromptPlace.QUEUED
        found = self._history(prompt_id)
        return PromptPlace.UNKNOWN if found is None else PromptPlace.FINISHED

    def find_next(
        self, marks: Mapping[str, Any], *, known: Collection[str], only_live: bool = False
    ) -> str | None:
        """Return a prompt with *marks* in its `extra_data`; see `continuations.find_next`."""
        return find_next(self._http, marks, known=known, only_live=only_live)

    def is_busy(self) -> bool:
        """Tell whether the node executes any prompt at this moment, whosever it is."""
        return bool(self._http.get_object("/queue", limit_bytes=LARGE_BYTES).get("queue_running"))

    def running(self) -> dict[str, dict[str, Any]]:
        """Return the `extra_data` of each prompt that the node executes, whosever it is, by its id."""
        running = self._http.get_object("/queue", limit_bytes=LARGE_BYTES).get("queue_running")
        return {
            str(item[1]): item[3] if isinstance(item[3], dict) else {}
            for item in (running if isinstance(running, list) else ())
            if isinstance(item, list) and len(item) > 3  # noqa: PLR2004
        }

    def history(self, prompt_id: str) -> HistoryEntry | None:
        """Return how the prompt ended and what it made; None while it has not, or if unknown.

        Raises:
            NodeFault: the node cannot tell it. A 500 here is a graph node's return value that
                ComfyUI cannot write as JSON, and stays until the entry is forgotten.
        """
        raw = self._history(prompt_id)
        if raw is None:
            return None
        with read_as_expected(self._node, f"its history of prompt {prompt_id}"):
            return HistoryEntry.parse(prompt_id, raw, node=self._node)

    def _history(self, prompt_id: str) -> Any:
        path = f"/history/{quote(prompt_id, safe='')}"
        return self._http.get_object(path, limit_bytes=LARGE_BYTES).get(prompt_id)

    def cancel(self, prompt_id: str) -> None:
        """Take the prompt out of the node's queue, or interrupt it if it runs; no other prompt.

        What came of it only `find_prompt` and `history` tell: a prompt may end first, and a
        graph node that never looks runs on to its end.
        """
        if not (self._has_job_routes and self._cancel_job(prompt_id)):
            # In this order: once it is in neither, it can no longer begin.
            self._http.post("/queue", {"delete": [prompt_id]})
            self._http.post("/interrupt", {"prompt_id": prompt_id})

    def withdraw(self, prompt_id: str) -> bool:
        """Take the prompt out of the node's queue if it has not begun; return whether it is out."""
        self._http.post("/queue", {"delete": [prompt_id]})
        return self.find_prompt(prompt_id) is PromptPlace.UNKNOWN

    def _cancel_job(self, prompt_id: str) -> bool:
        """Cancel in one step, as ComfyUI from 0.25 on can; return whether this one can."""
        path = f"/api/jobs/{quote(prompt_id, safe='')}/cancel"
        response = self._http.send("POST", path, read_s=SMALL_READ_S)
        # An id it does not know is answered 200: these say that the route is missing.
        if response.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
            self._has_job_routes = False
            return False
        self._http.accepted(response)
        return True

    def delete_history(self, prompt_id: str) -> None:
        """Drop the prompt from the node's history, with the copy of its graph; never a file."""
        self._http.post("/history", {"delete": [prompt_id]})

    def free_memory(self) -> None:
        """Have the node unload its models and drop its cached results, between two prompts."""
        self._http.post("/free", {"unload_models": True, "free_memory": True})

    def upload(self, path: Path, *, name: str, subfolder: str = "") -> str:
        """Store a file among the node's inputs.

        Returns:
            The value for the graph's input, `subfolder/name`. The name may be another than
            asked for: ComfyUI overwrites nothing, it appends ` (1)`.

        Raises:
            InvalidInput: it cannot be read.
            NodeFault: besides, the node does not take it for its name.
            RequestTooLarge: it is too large for the node, or for a proxy before it.
        """
        return upload_file(self._http, path, name=name, subfolder=subfolder)

    def has_input(self, name: str, subfolder: str, *, size_bytes: int) -> bool:
        """Tell whether the node says that it has an input file of this name and size."""
        return is_stored(self._http, name=name, subfolder=subfolder, size_bytes=size_bytes)

    def view(self, output: OutputFile) -> AbstractContextManager[Download]:
        """Open an output file; it streams in as its chunks are read.

        Raises (here, or when a chunk is read):
            OutputDamaged: the node does not have the file, or sent less of it than it said.
                Without a declared length nobody can tell here.
            OutputUnwritten: its companion could not write it.
            OutputPending: its companion has not written it yet.
            NodeTimeout: no byte came for `read_s`; the whole may take as long as it likes.
        """
        return open_download(self._http, self.companion, output)


def _json(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError as exc:
        raise InvalidGraph(f"the graph cannot be written as JSON: {exc}") from exc


def _holds(queue: Any, prompt_id: str) -> bool:
    """Tell whether a list of `[number, prompt_id, graph, extra_data, [output ids]]` has it."""
    items = queue if isinstance(queue, list) else []
    return any(isinstance(item, list) and item[1:2] == [prompt_id] for item in items)
