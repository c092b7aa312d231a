"""A typed client that is generated from the description which the API serves, by a generator that knows nothing of it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

#: It has an environment of its own; `make backend-check` makes it.
GENERATOR = Path(sys.prefix, "generator", "bin")
CONFIG = Path(__file__).with_name("generator.yaml")


@pytest.fixture
def generated(comfyfleet, tmp_path, monkeypatch):
    """Return a function that imports a module of the generated client."""
    described = tmp_path / "openapi.json"
    described.write_bytes(requests.get(f"{comfyfleet.api_url}/v1/openapi.json", timeout=10).content)
    ran = subprocess.run(
        [str(GENERATOR / "openapi-python-client"), "generate", "--path", str(described), "--meta", "none",
         "--output-path", str(tmp_path / "fleet_client"), "--config", str(CONFIG)],
        env={**os.environ, "PATH": f"{GENERATOR}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "warning" not in ran.stdout.lower(), ran.stdout
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name: importlib.import_module(f"fleet_client.{name}")


def test_it_submits_reads_lists_and_is_told_what_is_wrong(comfyfleet, generated, graph):
    client = generated("client").AuthenticatedClient(
        base_url=comfyfleet.api_url, token=comfyfleet.key("shop", ["submit", "read"])
    )
    models = generated("models")
    submit, read = generated("api.jobs.jobs_submit"), generated("api.jobs.jobs_read")
    wanted = {"graph": graph, "params": {"6.text": "a red fox"}, "metadata": {"order": "7"}}
    body = models.JobRequest.from_dict(wanted)
    job = submit.sync(client=client, body=body, idempotency_key="order-1")
    assert isinstance(job, models.JobView)
    assert (job.owner, job.status, job.done) == ("shop", models.JobStatus.QUEUED, False)
    again = submit.sync_detailed(client=client, body=body, idempotency_key="order-1")
    assert (int(again.status_code), again.parsed.id) == (200, job.id)
    made = comfyfleet.finish(job.id, pictures=2)
    done = read.sync(job.id, client=client)
    assert [artifact.sha256 for artifact in done.artifacts] == [
        one.sha256 for one in made.artifacts
    ]
    assert done.ended_at == made.ended_at
    assert done.metadata.to_dict() == {"order": "7"}
    page = generated("api.jobs.jobs_list_jobs").sync(client=client, filter_="status:succeeded")
    assert [found.id for found in page.jobs] == [job.id]
    wrong = models.JobRequest.from_dict({"graph": graph, "params": {"6.txt": "a"}})
    problem = submit.sync(client=client, body=wrong)
    assert isinstance(problem, models.ProblemForm)
    assert (problem.status, problem.errors[0].pointer) == (422, "#/params/6.txt")
    client.get_httpx_client().close()


def test_it_fills_a_batch_in_parts(comfyfleet, generated, graph):
    with generated("client").AuthenticatedClient(
        base_url=comfyfleet.api_url, token=comfyfleet.key()
    ) as client:
        models, types = generated("models"), generated("types")
        begin = generated("api.batches.batches_begin")
        batch = begin.sync(client=client, body=models.BatchRequest.from_dict({"graph": graph}))
        rows = types.File(payload=b'{"6.text": "a red fox"}\n{"6.text": "a hen"}\n')
        add = generated("api.batches.batches_add_rows")
        assert add.sync(batch.id, client=client, body=rows).rows == 2
        sealed = generated("api.batches.batches_seal").sync(batch.id, client=client)
    assert (sealed.state, sealed.rows) == (models.BatchState.SEALED, 2)
    assert comfyfleet.producer.batch(batch.id).rows == 2


def test_it_names_a_graph_and_makes_a_job_of_it(comfyfleet, generated, graph):
    with generated("client").AuthenticatedClient(
        base_url=comfyfleet.api_url, token=comfyfleet.key()
    ) as client:
        models = generated("models")
        body = models.TemplateRequest.from_dict({"graph": graph})
        put = generated("api.templates.templates_put")
        template = put.sync("portrait", client=client, body=body, if_none_match="*")
        assert isinstance(template, models.Template)
        check = generated("api.templates.templates_check")
        told = check.sync("portrait", client=client, body=models.CheckRequest())
        assert told.params["6.text"].type_ == models.ParamType.STRING
        wanted = models.JobRequest.from_dict({"template": "portrait"})
        job = generated("api.jobs.jobs_submit").sync(client=client, body=wanted)
    assert (job.template, template.revision) == (template.template, 1)
