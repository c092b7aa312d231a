"""Batches of a template under an idempotency key: the key stands for the request as it was sent, whatever the template has become.

So a call that is sent again finds its batch even if the template has another graph by then, or is deleted; the batch goes
on with the graph that it was opened with, which is kept beside it while it is open.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import replace
from typing import Any

from producer.contract.deliver_requests import read_deliver
from producer.contract.errors import SAME_ROWS, InvalidBatch, InvalidJob, JobNotFound
from producer.contract.graph.graph import GraphDocument
from producer.contract.graph.json_values import find_flaw
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.json_texts import read_json
from producer.contract.max_failed import read_max_failed
from producer.contract.templates import check_template_name
from producer.intake.admission import Intake
from producer.intake.request import Request, as_tier
from producer.store.batch_records import BatchRecord
from producer.store.batch_store import BatchStore
from producer.store.begun_batches import BegunBatches


def sent_fingerprint(intake: Intake, request: Request, *, max_failed: int | str | None) -> str:
    """Return what the idempotency key of a request that names a template stands for; empty for any other request.

    Raises:
        InvalidJob: a part of it makes no sense; names the field.
    """
    if not isinstance(request.graph, NamedGraph) or not request.idempotency_key:
        return ""
    if any(find_flaw(dict(given)) for given in (request.params, request.metadata)):
        return ""  # which is refused, with its place, when the params are set
    intake.deadlines(request)
    _, extra = intake.content(request, GraphDocument({}, b"{}", {}))
    deliver = read_deliver(request.deliver)
    within = (request.start_within, request.run_within)
    sent: list[Any] = [
        check_template_name(request.graph.name),
        [dict(request.params), dict(request.metadata)],
        [as_tier(request.tier), request.pool, request.pin],
        [None if one is None else one.total_seconds() for one in within],
        [extra.shared, sorted(extra.secrets.keys() - set(extra.added))],
        [request.hook, deliver.model_dump() if deliver else None, read_max_failed(max_failed)],
    ]
    written = json.dumps(sent, sort_keys=True, separators=(",", ":"))
    return f"sent-{hashlib.sha256(written.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def written_graph(document: GraphDocument) -> bytes:
    """Return a graph as it is kept beside an open batch."""
    kept = {"graph": document.graph, "extra_data": document.extra_data}
    return json.dumps(kept, separators=(",", ":")).encode("utf-8", "surrogatepass")


def with_its_graph(
    intake: Intake, store: BatchStore, begun: BegunBatches, request: Request, record: BatchRecord
) -> Request:
    """Return a request with the graph that its batch was opened with.

    Raises:
        InvalidBatch: nobody knows that any more.
    """
    name = request.graph.name if isinstance(request.graph, NamedGraph) else ""
    if kept := begun.find(record.id):
        found = read_json(kept)
        envelope = {"prompt": found["graph"], "extra_data": found["extra_data"]}
        return replace(request, graph=envelope, template=name)
    try:
        return replace(request, graph=store.graph_of(record), template=name)
    except (JobNotFound, zlib.error):
        pass
    try:
        # What it has by now: the rows are compared anyway.
        return intake.with_graph(request)
    except InvalidJob as exc:
        raise InvalidBatch(
            record.id,
            f"was accepted before and stays as it is; what came now cannot be compared: {exc.message}",
            advice=SAME_ROWS,
        ) from exc
