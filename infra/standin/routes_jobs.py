"""Routes `/api/jobs` and below, which ComfyUI has since 0.5.1, only with the prefix ``/api``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from infra.standin.prompt_queue import Item, PromptQueue
from infra.standin.routes_prompts import is_canonical_uuid

_STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")

Job = dict[str, Any]


class JobRoutes:
    """Handlers that list, show and cancel prompts."""

    def __init__(self, queue: PromptQueue) -> None:
        self._queue = queue

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their prefix ``/api``; they do not exist without it."""
        return [
            web.get("/api/jobs", self.list_jobs),
            web.get("/api/jobs/{job_id}", self.get_job),
            web.post("/api/jobs/cancel", self.cancel_jobs),
            web.post("/api/jobs/{job_id}/cancel", self.cancel_job),
        ]

    async def list_jobs(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            wanted = _wanted_statuses(query.get("status", ""))
            limit = _positive(query["limit"]) if "limit" in query else None
            jobs = _sorted([one for one in self._jobs() if one["status"] in wanted], query)
            offset = max(int(query.get("offset", 0)), 0)
        except ValueError as exc:
            return web.json_response({"error": str(exc)}, status=400)
        end = len(jobs) if limit is None else offset + limit
        pages = {"offset": offset, "limit": limit, "total": len(jobs), "has_more": end < len(jobs)}
        return web.json_response({"jobs": jobs[offset:end], "pagination": pages})

    async def get_job(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["job_id"]
        for job in self._jobs():
            if job["id"] == prompt_id:
                return web.json_response(job | self._details(prompt_id))
        return web.json_response({"error": "Job not found"}, status=404)

    async def cancel_job(self, request: web.Request) -> web.Response:
        return web.json_response({"cancelled": self._cancel(request.match_info["job_id"])})

    async def cancel_jobs(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except ValueError:
            return web.json_response({"error": "Request body must be valid JSON"}, status=400)
        prompt_ids = body.get("job_ids") if isinstance(body, dict) else None
        if not isinstance(prompt_ids, list):
            return web.json_response({"error": "job_ids must be a list"}, status=400)
        invalid = [one for one in prompt_ids if not is_canonical_uuid(one)]
        if invalid:
            refusal = {"error": "job_ids contains invalid id(s)", "invalid_ids": invalid}
            return web.json_response(refusal, status=400)
        cancelled = [self._cancel(one) for one in prompt_ids]
        return web.json_response({"cancelled": any(cancelled)})

    def _cancel(self, prompt_id: str) -> bool:
        return self._queue.delete(prompt_id) or self._queue.interrupt(prompt_id)

    def _jobs(self) -> list[Job]:
        waiting = [_waiting_job(item, "pending") for item in self._queue.pending()]
        running = [_waiting_job(item, "in_progress") for item in self._queue.running()]
        return waiting + running + [_ended_job(one) for one in self._queue.history().values()]

    def _details(self, prompt_id: str) -> Job:
        entry = self._queue.find_ended(prompt_id)
        if entry is None:
            return {}
        _, _, graph, extra_data, _ = entry["prompt"]
        workflow = {"prompt": graph, "extra_data": extra_data}
        return {
            "outputs": entry["outputs"],
            "execution_status": entry["status"],
            "workflow": workflow,
        }


def _waiting_job(item: Item, status: str) -> Job:
    number, prompt_id, _, extra_data, _ = item
    return {
        "id": prompt_id,
        "status": status,
        "priority": number,
        "create_time": extra_data.get("create_time"),
        "outputs_count": 0,
        "previewable_outputs_count": 0,
    }


def _ended_job(entry: Mapping[str, Any]) -> Job:
    messages = entry["status"]["messages"]
    last, final = messages[-1]
    ended = {
        "execution_success": "completed",
        "execution_error": "failed",
        "execution_interrupted": "cancelled",
    }
    files = _files(entry["outputs"])
    job = _waiting_job(entry["prompt"], ended[last]) | {
        "execution_start_time": messages[0][1]["timestamp"],
        "execution_end_time": final["timestamp"],
        "outputs_count": len(files),
        "previewable_outputs_count": len(files),
    }
    if last == "execution_error":
        job["execution_error"] = final
    if files:
        job["preview_output"] = files[0]
    return job


def _files(outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**file, "nodeId": graph_node, "mediaType": kind}
        for graph_node, shown in outputs.items()
        for kind, files in shown.items()
        for file in files
        if isinstance(file, dict) and "filename" in file
    ]


def _wanted_statuses(text: str) -> set[str]:
    wanted = [one.strip().lower() for one in text.split(",") if one.strip()]
    unknown = [one for one in wanted if one not in _STATUSES]
    if unknown:
        valid = ", ".join(_STATUSES)
        raise ValueError(f"Invalid status value(s): {', '.join(unknown)}. Valid values: {valid}")
    return set(wanted or _STATUSES)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError("limit must be a positive integer")
    return int(text)


def _sorted(jobs: list[Job], query: Mapping[str, str]) -> list[Job]:
    sort_by, order = query.get("sort_by", "created_at"), query.get("sort_order", "desc")
    if sort_by not in ("created_at", "execution_duration") or order not in ("asc", "desc"):
        raise ValueError("sort_by or sort_order is not known")

    def key(job: Job) -> int:
        if sort_by == "created_at":
            return int(job["create_time"])
        return int(job.get("execution_end_time", 0)) - int(job.get("execution_start_time", 0))

    return sorted(jobs, key=key, reverse=order == "desc")
