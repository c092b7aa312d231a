"""A page of jobs as the API writes it: what its view says, without a model of each job."""

from __future__ import annotations

import json

import pytest

from producer.contract.job_pages import JobPage
from producer.contract.jobs import Artifact, Job, JobStatus
from producer.http.views import JobPageView, answer, job_view, page_answer
from tests.sample_jobs import sample_job

PICTURE = Artifact(
    key="a/b.png",
    graph_node="9",
    index=0,
    kind="images",
    type="output",
    name="b.png",
    media_type="image/png",
    bytes=1,
    sha256="00",
)
ODD = '}],"links":{"self":"/v1/jobs/x"}, \\ \u2028 ä'


def as_its_view(page: JobPage) -> bytes:
    """Return a page as pydantic writes the model that OpenAPI describes."""
    views = [job_view(job) for job in page.jobs]
    return bytes(answer(JobPageView.model_construct(jobs=views, cursor=page.cursor)).body)


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [sample_job()],
        [sample_job(batch="night", row=3), sample_job(metadata={"a": ODD}, owner=ODD)],
        [sample_job(status=JobStatus.SUCCEEDED, done=True, artifacts=[PICTURE]), sample_job()],
        [sample_job(batch=ODD, values={"1": [1.5, None, ODD]}, params={"1.a": 1e300})],
    ],
    ids=["none", "one", "rows", "artifacts", "odd"],
)
@pytest.mark.parametrize("cursor", [None, ODD])
def test_a_page_is_written_as_its_view_is(jobs, cursor):
    page = JobPage(jobs=jobs, cursor=cursor)
    body = bytes(page_answer(page).body)
    assert json.loads(body) == json.loads(as_its_view(page))
    assert body == as_its_view(page)


def test_each_field_of_a_view_but_links_is_the_record_s():
    assert list(JobPageView.model_fields["jobs"].annotation.__args__[0].model_fields) == [
        *Job.model_fields,
        "links",
    ]
