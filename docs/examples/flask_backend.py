"""A backend in Flask that reaches the fleet over its HTTP API, with an access key in place of Redis' password.

    GRAPH=graph.json API=https://fleet.example KEY=cfk_... flask --app flask_backend:from_env run

Its jobs are those of the key's owner; nobody else's can be seen with it.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask, redirect, request
from flask.typing import ResponseReturnValue

from producer.contract import errors
from producer.contract.jobs import Job
from producer.http_client import HttpProducer


def create_app(fleet: HttpProducer, graph: dict[str, Any]) -> Flask:
    """Return the backend of a shop that sells pictures of one graph."""
    app = Flask(__name__)

    @app.errorhandler(errors.FleetError)
    def refuse(error: errors.FleetError) -> ResponseReturnValue:
        statuses = {errors.JobNotFound: 404, errors.InvalidJob: 422}
        status = next((n for kind, n in statuses.items() if isinstance(error, kind)), 503)
        return {"error": error.message, "advice": error.advice}, status

    @app.post("/pictures")
    def order() -> ResponseReturnValue:
        photo = request.files.get("photo")
        job = fleet.submit(
            graph,
            params={"6.text": request.form.get("text", "")},
            inputs={"10.image": photo.read()} if photo else {},  # uploaded to the fleet first
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
        return shown(job), 202

    @app.get("/pictures/<job_id>")
    def show(job_id: str) -> ResponseReturnValue:
        """Wait a little, so that a page need not ask every second."""
        patience = timedelta(seconds=request.args.get("wait", 0, float))
        try:
            return shown(fleet.wait(job_id, timeout=patience))
        except (errors.JobNotSucceeded, errors.WaitTimeout):
            return shown(fleet.get(job_id))

    @app.get("/pictures/<job_id>/<int:number>")
    def fetch(job_id: str, number: int) -> ResponseReturnValue:
        artifacts = fleet.get(job_id).artifacts
        if number >= len(artifacts):
            return {"error": "there is no such picture"}, 404
        return redirect(fleet.url(artifacts[number], expires=timedelta(minutes=10)))

    return app


def shown(job: Job) -> dict[str, Any]:
    """Return what a customer may know of a job."""
    links = [f"/pictures/{job.id}/{number}" for number in range(len(job.artifacts))]
    why = job.error and job.error.message
    return {"id": job.id, "status": job.status, "done": job.done, "why": why, "pictures": links}


def from_env() -> Flask:
    """Return the backend with address and key of the environment."""
    fleet = HttpProducer(os.environ["API"], key=os.environ["KEY"])
    return create_app(fleet, json.loads(Path(os.environ["GRAPH"]).read_text()))
