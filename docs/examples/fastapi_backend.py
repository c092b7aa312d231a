"""A backend in FastAPI: hands pictures in, tells of their progress as it comes, links to them.

    GRAPH=graph.json uvicorn --factory fastapi_backend:from_env

It has the addresses of Redis and S3, as the library's settings say (`COMFYFLEET_REDIS_URL`, ...); or, as
`fastapi_backend:over_http`, the address of the HTTP API and an access key (`API`, `KEY`), and nothing else of the fleet.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, Request
from fastapi.responses import JSONResponse, StreamingResponse

from producer.aio import AsyncProducer
from producer.contract.errors import FleetError, InvalidJob, JobNotFound
from producer.contract.jobs import Job
from producer.http_aio import AsyncHttpProducer


def create_app(fleet: AsyncProducer | AsyncHttpProducer, graph: dict[str, Any]) -> FastAPI:
    """Return the backend of a shop that sells pictures of one graph."""
    app = FastAPI()

    @app.exception_handler(FleetError)
    async def refuse(_: Request, error: FleetError) -> JSONResponse:
        statuses = {JobNotFound: 404, InvalidJob: 422}
        status = next((n for kind, n in statuses.items() if isinstance(error, kind)), 503)
        return JSONResponse({"error": error.message, "advice": error.advice}, status)

    @app.post("/pictures", status_code=202)
    async def order(
        text: Annotated[str, Body(embed=True)],
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> dict[str, Any]:
        # A customer who clicks twice, or a proxy that sends again, pays for one picture.
        params = {"6.text": text}
        return shown(await fleet.submit(graph, params=params, idempotency_key=idempotency_key))

    @app.get("/pictures/{job_id}")
    async def show(job_id: str) -> dict[str, Any]:
        job = await fleet.get(job_id)
        return {**shown(job), "urls": [await fleet.url(artifact) for artifact in job.artifacts]}

    @app.get("/pictures/{job_id}/events")
    async def follow(
        job_id: str, last_event_id: Annotated[str | None, Header()] = None
    ) -> StreamingResponse:
        await fleet.get(job_id)  # an unknown one is a 404, not a stream

        async def events() -> AsyncIterator[str]:
            async for event in fleet.stream(job_id, after=last_event_id):
                yield f"id: {event.id}\ndata: {event.model_dump_json(exclude_none=True)}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


def shown(job: Job) -> dict[str, Any]:
    """Return what a customer may know of a job."""
    why = job.error and job.error.message
    return {"id": job.id, "status": job.status, "done": job.done, "why": why}


def from_env() -> FastAPI:
    """Return the backend with the settings of the environment."""
    return create_app(AsyncProducer.from_env(), json.loads(Path(os.environ["GRAPH"]).read_text()))


def over_http() -> FastAPI:
    """Return the backend with an access key."""
    fleet = AsyncHttpProducer(os.environ["API"], os.environ["KEY"])
    return create_app(fleet, json.loads(Path(os.environ["GRAPH"]).read_text()))
