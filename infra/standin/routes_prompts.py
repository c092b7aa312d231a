"""Routes for prompts: `/prompt`, `/queue`, `/history`, `/interrupt` and `/free`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from aiohttp import web

from infra.standin.faults import Fault, FaultRule, Faults
from infra.standin.faults_run import foreign_prompt, names_of
from infra.standin.gpu import Gpu
from infra.standin.journal import Journal, now_ms
from infra.standin.options import StandinOptions
from infra.standin.prompt_queue import SECRETS, Item, PromptQueue
from infra.standin.refusals import error
from infra.standin.validation import Refused, Validator
from infra.standin.websocket import exec_info


class PromptRoutes:
    """Handlers that queue, list, delete and interrupt prompts."""

    def __init__(
        self,
        *,
        options: StandinOptions,
        queue: PromptQueue,
        gpu: Gpu,
        validator: Validator,
        journal: Journal,
        faults: Faults,
    ) -> None:
        self._is_current = options.is_current
        self._queue = queue
        self._gpu = gpu
        self._validator = validator
        self._journal = journal
        self._faults = faults
        self._numbers = count()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; the server adds each with the prefix ``/api``, too."""
        return [
            web.get("/prompt", self.get_prompt),
            web.post("/prompt", self.post_prompt),
            web.get("/queue", self.get_queue),
            web.post("/queue", self.post_queue),
            web.get("/history", self.get_history),
            web.get("/history/{prompt_id}", self.get_history_entry),
            web.post("/history", self.post_history),
            web.post("/interrupt", self.post_interrupt),
            web.post("/free", self.post_free),
        ]

    async def get_prompt(self, _request: web.Request) -> web.Response:
        return web.json_response(exec_info(self._queue.remaining))

    async def post_prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        number = self._number(body)
        self._journal.count("posts")
        try:
            return self._queue_prompt(body, number)
        except Refused as refusal:
            self._journal.count("refused")
            refused = {"error": refusal.error, "node_errors": refusal.node_errors}
            return web.json_response(refused, status=400)

    async def get_queue(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"queue_running": self._queue.running(), "queue_pending": self._queue.pending()}
        )

    async def post_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        if _asked(body, "clear"):
            self._queue.clear()
        for prompt_id in _listed(body, "delete"):
            self._queue.delete(prompt_id)
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        newest, offset = (request.query.get(name) for name in ("max_items", "offset"))
        page = self._queue.history(
            newest=None if newest is None else int(newest),
            offset=-1 if offset is None else int(offset),
        )
        return web.json_response(page)

    async def get_history_entry(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        entry = self._queue.find_ended(prompt_id)
        return web.json_response({prompt_id: entry} if entry else {})

    async def post_history(self, request: web.Request) -> web.Response:
        body = await request.json()
        if _asked(body, "clear"):
            self._queue.forget_all()
        for prompt_id in _listed(body, "delete"):
            self._queue.forget(prompt_id)
        return web.Response()

    async def post_interrupt(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except json.JSONDecodeError:
            body = {}
        # No id, or an empty one, interrupts whatever runs.
        self._queue.interrupt(body.get("prompt_id") or None)
        self._journal.count("interrupts")
        return web.Response()

    async def post_free(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._gpu.free_later(
            *(what for what in ("unload_models", "free_memory") if body.get(what, False))
        )
        return web.Response()

    def _number(self, body: Mapping[str, Any]) -> float:
        if "number" in body:
            return float(body["number"])
        number = next(self._numbers)
        return -number if _asked(body, "front") else number

    def _queue_prompt(self, body: Mapping[str, Any], number: float) -> web.Response:
        if "prompt" not in body:
            raise Refused(error("no_prompt", "No prompt provided", "No prompt provided"))
        graph = body["prompt"]
        prompt_id = self._prompt_id(body)
        if self._is_current:
            graph.items()  # as in 0.33, a graph that is no object raises here, which is a 500
        accepted = self._validator.validate(graph, body.get("partial_execution_targets"))
        extra_data = self._extra_data(body)
        self._put((number, prompt_id, graph, extra_data, accepted.outputs))
        return web.json_response(
            {"prompt_id": prompt_id, "number": number, "node_errors": accepted.node_errors}
        )

    def _put(self, item: Item) -> None:
        rule = self._faults.strike("accept", *names_of(item))
        match rule:
            case FaultRule(do=Fault.FORGET):
                return
            case FaultRule(do=Fault.FOREIGN):
                self._queue.put(foreign_prompt(item[0], rule.seconds))
        self._queue.put(item)

    def _prompt_id(self, body: Mapping[str, Any]) -> str:
        if not self._is_current:
            return str(body.get("prompt_id", uuid.uuid4()))
        given = body.get("prompt_id")
        if given is None:
            return str(uuid.uuid4())
        if not is_canonical_uuid(given):
            details = "prompt_id must be a canonical lowercase hyphenated UUID string"
            message = "prompt_id must be a valid UUID"
            raise Refused(error("invalid_prompt_id", message, details))
        return str(given)

    def _extra_data(self, body: Mapping[str, Any]) -> dict[str, Any]:
        extra_data: dict[str, Any] = body.get("extra_data", {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if self._is_current:
            without_secrets = {k: v for k, v in extra_data.items() if k not in SECRETS}
            return {**without_secrets, "create_time": now_ms()}
        return extra_data


def is_canonical_uuid(value: Any) -> bool:
    """Tell whether *value* is a UUID as 0.33 accepts it: text in lower case with hyphens."""
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


# Both test with `in`, as ComfyUI: a body of `[]` requests nothing, and one of `null` raises.
def _asked(body: Mapping[str, Any], what: str) -> bool:
    return what in body and bool(body[what])


def _listed(body: Mapping[str, Any], what: str) -> Iterable[str]:
    if what not in body:
        return ()
    names: Iterable[str] = body[what]
    return names
