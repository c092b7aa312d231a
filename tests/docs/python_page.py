"""The page of the Python library: which names it has; mkdocstrings reads their docstrings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import get_annotations
from typing import Final

from producer.access_keys import AccessKeys
from producer.aio import AsyncProducer
from producer.batch.rows import Row
from producer.batch.writer import BatchWriter
from producer.client import Producer
from producer.contract import errors
from producer.contract.access import AccessKey, Scope
from producer.contract.batches import BadRow, Batch
from producer.contract.cancel_outcomes import BatchCancelled, Cancelled
from producer.contract.dead_letters import DeadLetter
from producer.contract.deliver import Copy, CopyState, Deliver
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.graph_checks import (
    GraphCheck,
    Lack,
    NodeFit,
    ParamForm,
    ParamType,
    Refusal,
)
from producer.contract.job_pages import JobPage
from producer.contract.jobs import (
    Artifact,
    Attempt,
    Job,
    JobError,
    JobEvent,
    JobStatus,
    Phase,
    Progress,
    Timings,
)
from producer.contract.nodes import Node, NodeState, NodeTimes, NodeWork
from producer.contract.owners import OwnerUsage
from producer.contract.queue_lines import QueueLine, WaitReason
from producer.contract.queues import Tier
from producer.contract.templates import Template, TemplateGraph
from producer.contract.totals import AttemptTotals, Durations, PoolTotals, Recovery, StageTotals
from producer.contract.uploads import Upload
from producer.contract.webhooks import (
    Delivery,
    DeliveryState,
    DeliveryTry,
    EventType,
    NewWebhook,
    Webhook,
)
from producer.dead_letters import DeadLetters
from producer.http_aio import AsyncHttpProducer
from producer.http_client import HttpProducer
from producer.intake.input_policy import InputPolicy
from producer.over_http.templates import HttpTemplates
from producer.over_http.webhooks import HttpWebhooks
from producer.template_methods import Templates
from producer.webhooks.methods import Webhooks
from tests.docs.source_comments import comments

#: What a backend meets, by the heading it stands under.
PUBLIC: Final[Mapping[str, tuple[type, ...]]] = {
    "The fleet": (
        Producer,
        AsyncProducer,
        HttpProducer,
        AsyncHttpProducer,
        InputPolicy,
        AccessKeys,
        AccessKey,
        Scope,
    ),
    "Jobs": (Job, JobStatus, Phase, Progress, Timings, Artifact, Attempt, JobError, JobEvent),
    "More of jobs": (
        Deliver,
        Copy,
        CopyState,
        JobPage,
        OwnerUsage,
        QueueLine,
        WaitReason,
        PoolTotals,
        StageTotals,
        AttemptTotals,
        Recovery,
        Durations,
        Tier,
        Cancelled,
        DeadLetters,
        DeadLetter,
        Upload,
    ),
    "Batches": (Batch, Row, BatchWriter, BadRow, BatchCancelled),
    "Templates": (
        Templates,
        HttpTemplates,
        NamedGraph,
        Template,
        TemplateGraph,
        GraphCheck,
        NodeFit,
        Lack,
        Refusal,
        ParamForm,
        ParamType,
    ),
    "Nodes": (Node, NodeTimes, NodeState, NodeWork),
    "Webhooks": (
        Webhooks,
        HttpWebhooks,
        Webhook,
        NewWebhook,
        EventType,
        Delivery,
        DeliveryState,
        DeliveryTry,
    ),
}
#: The errors that a caller meets; the whole tree is on a page of its own.
RAISED: Final = (
    errors.FleetError,
    errors.InvalidJob,
    errors.InvalidParam,
    errors.InvalidRows,
    errors.InvalidQuery,
    errors.JobNotSucceeded,
    errors.WaitTimeout,
    errors.KeyReused,
    errors.TemplateChanged,
    errors.BacklogFull,
    errors.FleetUnreachable,
)

_TOP: Final = """\
# Python

Names written by `python -m tests.docs`, the rest read from the docstrings when the site is built; do not edit.

`Producer` is for threads, `AsyncProducer` for asyncio; both do the same. `HttpProducer` and `AsyncHttpProducer` do it over the HTTP API. Start with [Submit](../use/submit.md).
"""
#: A record's fields are a table; mkdocstrings would give each a heading.
_NO_MEMBERS: Final = """\
    options:
      inherited_members: false
      members: false
      show_bases: false
"""


def page() -> str:
    """Return the page: a directive of mkdocstrings for each name."""
    parts = [_TOP]
    for title, names in {**PUBLIC, "Errors": RAISED}.items():
        parts.append(f"## {title}\n")
        parts += [_directive(name) for name in names]
    return "\n".join(parts)


def _directive(name: type) -> str:
    module = errors.__name__ if name in RAISED else name.__module__  # where callers import it from
    directive = f"::: {module}.{name.__qualname__}\n"
    if not hasattr(name, "model_fields"):
        return directive
    told = comments(name)
    rows = ["| field | type | |", "| --- | --- | --- |"]
    rows += [
        f"| `{field}` | `{_written(kind)}` | {told.get(field, '')} |"
        for field, kind in get_annotations(name).items()
    ]
    return "\n".join([directive + _NO_MEMBERS, *rows, ""])


def _written(kind: str) -> str:
    """Return an annotation as a caller sees it: ids and texts of nodes are text."""
    return re.sub(r"\b(ForeignText|JobId|PromptId|BatchId)\b", "str", kind).replace(" | ", " or ")
