"""What a request comes to that is sent again under its idempotency key, whatever has become of the fleet meanwhile.

Its template may have another graph by then, or be deleted, its webhook too; no node may have its models any more. Its
job was made all the same, and is what the request is answered with.
"""

from __future__ import annotations

from dataclasses import replace

from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.graph.graph import GraphLike
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.params.params import by_address, find_values, with_values
from producer.contract.queues import Needs
from producer.contract.submissions import Submission
from producer.intake.admission import Intake
from producer.intake.files import matched_files
from producer.intake.named_templates import handed_in_by_name
from producer.intake.request import Request, as_tier


def sent_again(intake: Intake, request: Request, kept: GraphLike) -> Submission:
    """Return a request as it was accepted before, so that its fingerprint can be compared.

    No node, template or webhook is asked. Files are looked at anew, as their content is part of the request.

    Args:
        kept: graph and extra data of the job that its key has made; they stand in for those of a template.

    Raises:
        FleetError: it was never accepted, or a file that it names cannot be had any more.
    """
    name = request.graph.name if isinstance(request.graph, NamedGraph) else ""
    if name:
        request = replace(request, graph=kept, template=name)
    start_within, run_within = intake.deadlines(request)
    document = intake.read(request)
    content, extra = intake.content(request, document)
    values = find_values(document.graph, request.params)
    files = []
    if request.inputs:
        graph = with_values(document.graph, values)
        files = matched_files(cut(graph, output_graph_nodes(graph, None)), request.inputs, None)
    return Submission(
        template=content.template,
        handed_in=handed_in_by_name(name) if name else "",
        params=by_address(values),
        inputs={file.address: intake.take(file, value, request) for file, value in files},
        needs=Needs.of(request.pool, models=(), classes=()),
        metadata=dict(request.metadata),
        tier=as_tier(request.tier),
        pin=request.pin,
        owner=request.owner,
        hook=request.hook,
        deliver=intake.deliver(request, has_batch=False),
        idempotency_key=request.idempotency_key,
        start_within=start_within,
        run_within=run_within,
        extra_data=content.extra_sha,
        secrets=tuple(sorted(extra.secrets)),
        added_secrets=extra.added,
    )
