"""Writes docs/understand/guarantees.md: `python -m tests.guarantees`.

The promises are written here; the tables come from the code and the tests that hold them, and
the figures from docs/figures.json, where `make chaos` and `make bench` leave their last ones.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from producer.contract import errors
from producer.contract.crashpoints import CRASHPOINTS
from producer.contract.errors import FleetError
from producer.contract.jobs import JobStatus, sources_of
from tests.sample_jobs import sample_job
from worker import errors as worker_errors
from worker.attempt.retry import CHARGED_LIMIT, FELLED_LIMIT, FREE_LIMIT, decide
from worker.errors import NodeError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/understand/guarantees.md"
FIGURES = ROOT / "docs/figures.json"

#: Where the faults are tested, and what of.
FAULT_TESTS = {
    "Messages, workers, nodes": "tests/acceptance/test_recovery.py",
    "Batches": "tests/acceptance/test_batches.py",
    "What a node may do wrong": "tests/acceptance/test_node_faults.py",
    "What savers do": "tests/acceptance/test_outputs.py",
    "What may be wrong around a worker": "tests/acceptance/test_surroundings.py",
    "Nodes on different systems": "tests/acceptance/test_mixed_systems.py",
    "A node with the companion": "tests/acceptance/test_companion.py",
    "How a worker leaves": "tests/acceptance/test_shutdown.py",
    "Nodes that are drained, paused, resumed": "tests/acceptance/test_node_verbs.py",
    "Celery, kombu and Redis": "tests/integration/test_celery_traps.py",
    "What Redis refuses": "tests/integration/test_redis_refusals.py",
    "Records that something else has written into": "tests/integration/test_damaged_records.py",
    "Each process as its own Redis user, over TLS": "tests/integration/test_redis_rights.py",
    "Certificates that are wrong, or lack": "tests/integration/test_redis_tls.py",
    "Values that no node would take": "tests/integration/test_refused_values.py",
    "What upkeep finds": "tests/integration/test_upkeep.py",
    "Idempotency keys, and refusals that leave nothing": "tests/integration/test_idempotency.py",
    "Webhooks": "tests/integration/webhooks/test_ends.py",
    "Webhooks whose receiver, or sender, fails": "tests/integration/webhooks/test_deliveries.py",
    "Webhooks, before an end": "tests/integration/webhooks/test_events.py",
    "Graphs by name": "tests/integration/test_templates.py",
    "Graphs by name, and what was made of them": "tests/integration/test_template_jobs.py",
    "Requests to addresses that strangers name": "tests/integration/test_outbound.py",
    "Files that strangers name": "tests/integration/test_input_forms.py",
    "Over HTTP: jobs that are handed in": "tests/integration/test_http_submissions.py",
    "Over HTTP: jobs, keys, problems": "tests/integration/test_http_jobs.py",
    "Over HTTP: several processes, and one that is killed": "tests/integration/test_balanced_api.py",
    "Over HTTP: streams that are cut, and readers that do not read": "tests/integration/test_http_events.py",
    "Over HTTP: web pages of other origins": "tests/integration/test_http_origins.py",
    "Previews, and what nobody watches": "tests/integration/test_previews.py",
    "Over HTTP: the Python client, and answers that are late, torn or foreign": "tests/integration/test_http_client_faults.py",
    "Over HTTP: the Python client, and what answers in place of the API": "tests/integration/test_hostile_api.py",
    "Over HTTP: requests as people send them by mistake": "tests/integration/test_http_doors.py",
    "Over HTTP: graphs that take long": "tests/integration/test_heavy_submissions.py",
    "Over HTTP: files that are uploaded": "tests/integration/test_http_uploads.py",
    "The command: closed, full and odd streams": "tests/integration/test_command_streams.py",
    "Over HTTP: batches in parts": "tests/integration/test_http_batches.py",
    "Over HTTP: each owner's alone": "tests/integration/test_http_owners.py",
    "Copies in other buckets": "tests/integration/copies/test_copies.py",
    "Copies of pictures in another form": "tests/integration/copies/test_pictures.py",
    "Many jobs by a filter": "tests/integration/test_bulk_actions.py",
    "Many jobs by a filter, whoever dies": "tests/integration/test_interrupted_actions.py",
    "Many jobs, and who says which": "tests/integration/test_chosen_jobs.py",
    "A batch that brakes itself": "tests/integration/test_batch_brake.py",
    "Copies, and a worker that dies": "tests/acceptance/test_copies.py",
    "Extra data and its secrets": "tests/integration/test_extra_data.py",
    "A node's answers": "tests/integration/test_comfyui_faults.py",
    "What a node may say, and how much": "tests/integration/test_bounded_answers.py",
    "Odd answers and events by the hundred, through a whole fleet": "tests/acceptance/test_odd_answers.py",
    "Files of very many parts": "tests/unit/test_file_limits.py",
    "A store that does not serve": "tests/integration/test_storage_breaker.py",
    "A store's answers, through a whole fleet": "tests/acceptance/test_stores.py",
    "Stores as providers run them": "tests/integration/object_store/test_providers.py",
    "A store that has the key already": "tests/integration/object_store/test_write_once.py",
    "What a store's answer proves": "tests/integration/object_store/test_write_proof.py",
}

PROMISES = f"""\
# Guarantees

Written by `python -m tests.guarantees` from the code and its tests; do not edit.

## What is promised

1. **A job that was accepted is never lost** while the Redis data survives. Accepted means: `submit` returned, or its
   record stands.
2. **It reaches exactly one end**, within a time that does not depend on which process died. Terminal statuses never change.
3. **Its artifacts are committed exactly once.** A render may be computed more than once, never committed twice: every
   write of an attempt names attempt and worker, and one that was overtaken is refused.
4. **A worker that comes back does not render again.** It asks its node for the prompt it left and goes on from there. Nor
   does a node that is away with what it rendered: it is waited for, and its files are fetched even after its restart.
5. **What is stored was checked**: length, hash, and that the file is whole by its own format. The hash in the record is
   that of the object. What a graph node is known to have listed is there; what lists nothing is rendered once, and noted.
6. **One idempotency key makes one job**, for as long as the record of that stands.
7. **A sick node costs the fleet at most three attempts** before it is set aside, and comes back by itself once a canary
   prompt and one job have succeeded. Three jobs that failed alike on it, in whatever words, and then succeeded on others are
   such a fault. **A sick job costs at most {CHARGED_LIMIT} charged attempts**; {FELLED_LIMIT} different
   nodes felled, or {FREE_LIMIT} attempts ended through no fault of its own, make it a dead letter.
8. **Nothing waits without a reason** that `comfyfleet job show` and `comfyfleet node list` say.
9. **A submission is taken or refused in one sentence.** Nothing of it is dropped in silence, and a refusal leaves no record,
   template or key behind; only input files may stay, under their content's hash.
10. **Keys and tokens of a job are seen by its node alone.** They end with the job, and stand in no record, event, log,
   manifest or artifact of ours.
11. **An answer of the store about one request ends that job alone**; only the fleet's own bucket being away, closed or full stops
   nodes, which say so, and then nothing fails before its run deadline ([Storage](../operate/storage.md)).

## What is not promised

- Writes that Redis acknowledged may be gone after a failover, a crash or a lost disk: up to two seconds with `appendfsync everysec`.
- While the network is parted, two nodes may render one job; one of them commits.
- A prompt that hangs after its worker or its websocket was connected anew is seen late: ComfyUI tells its progress to the
  old connection alone, so silence means nothing there. It is stopped after half of its run deadline.
- A flipped bit in a file whose format has no checksum is not seen, nor is another file of the same kind in its place.
- A job that began once and then finds no node is given up 15 days after its start deadline, as a dead letter.
- No order among jobs of one tier, beyond first come, first served within a queue.
- A record outlives its start deadline by 30 days, then it goes, ended or not; without any worker nobody ends it.
"""


PHASES = """\
## How long each phase may take

`run_within` counts from the claim to the commit, over restarts of the worker, and without the wait behind another prompt on
the node (which may last as long once more). A cancel ends the job within 10 s, a passed deadline likewise: what is under way
has 5 s to stop its prompt; half-way through, the request on which it waits is ended, and at the end all that it has open, so
that neither thread nor connection stays (test_a_cancel_ends_a_job_in_every_phase_and_leaves_no_thread_and_no_descriptor). Only
a disk, or a name server, may hold a thread for longer; it holds neither card, lease nor job. What was stored by then is an
orphan that `check --objects --repair` removes.

| phase | who may be slow | bound | then | test |
| --- | --- | --- | --- | --- |
| preparing | S3, the node, disk, Redis | run_within | `run_deadline` | test_a_store_that_never_ends_its_answer_holds_no_cancelled_job |
| ahead | the prompt before it | run_within, once more | `run_deadline` | test_the_wait_behind_another_prompt_is_not_its_own_time_and_has_an_end |
| rendering | the node's answers | run_within; 20 s of refused or silent calls | `run_deadline`, or `node_fault` and another node | test_a_node_that_gives_a_byte_a_second_holds_no_job |
| rendering | the render | run_within; node_progress_s of silence | `run_deadline`, or `stall` | test_a_prompt_that_is_heard_and_falls_silent_is_stalled |
| fetching | a node that is away | run_within; twice what the render took, 2 to 15 min | it is fetched, or `node_fault` and another node | test_a_node_that_is_away_after_the_render_is_waited_for_and_not_counted |
| fetching | the node's files | run_within; 256 KiB a minute, three tries | `run_deadline`, or `node_fault` | test_a_node_that_gives_a_byte_a_second_holds_no_job |
| storing | S3, disk | run_within | `run_deadline` | test_a_store_that_never_ends_its_answer_holds_no_cancelled_job |
| storing | an error nobody foresaw | three tries in place | `delivery_failed`, a dead letter; no second render | test_a_surprise_that_stays_ends_the_job_and_names_itself |
| any | a worker that dies of it | three deaths | `worker_died`, another node | test_what_ends_its_worker_three_times_is_not_taken_up_by_a_fourth |
| any | a worker that falls silent | a lease, by Redis' clock and by that of who sweeps | `lease_lost`, another node | test_a_clock_that_is_stepped_ahead_ends_no_lease_that_is_renewed |
"""


def page() -> str:
    """Return the whole page."""
    parts = [PROMISES, PHASES, _statuses(), _causes(), _crash_points(), _faults(), _figures()]
    return "\n".join(parts).rstrip() + "\n"


def _statuses() -> str:
    rows = ["| status | may become |", "| --- | --- |"]
    rows += [
        f"| {status} | {', '.join(_targets(status)) or 'nothing else'} |" for status in JobStatus
    ]
    intro = "A job begins as `held` or `queued`. [A job's life](job.md) shows them in their order."
    return "\n".join(["## Statuses", "", intro, "", *rows, ""])


def _targets(status: JobStatus) -> list[str]:
    return [target for target in JobStatus if status in sources_of(target)]


def _causes() -> str:
    rows = ["| cause | charged | then |", "| --- | --- | --- |"]
    rows += [f"| {cause} | {charged} | {then} |" for cause, charged, then in verdicts()]
    return "\n".join(["## How an attempt ends without success", "", *rows, ""])


def verdicts() -> Iterator[tuple[str, str, str]]:
    """Give each cause of an attempt's end, whether it is charged, and what becomes of the job."""
    seen = set()
    for error in _errors():
        decision = decide(error, sample_job(), node="gpu-01")
        cause = decision.error.cause
        if cause in seen:
            continue
        seen.add(cause)
        again = "tried again" if decision.again else "failed at once"
        if decision.dead:
            again += ", a dead letter"
        if decision.blames_node:
            again += "; the node needs a canary first"
        yield cause, "yes" if decision.charged else "no", again


#: One of each kind that `worker.attempt.error_signs` tells apart.
_RAISED: Final = (
    *("RuntimeError", "torch.OutOfMemoryError", "OSError: No space left on device"),
    *("CUDA error: unspecified launch failure", "SafetensorError: HeaderTooLarge"),
    *("OSError: Input/output error", "Unauthorized: Please login first"),
)


def _errors() -> Iterator[FleetError]:
    yield worker_errors.PromptRejected("gpu-01", "refused", {})
    yield errors.InvalidInput("too large")
    yield errors.ObjectMissing("no such key")
    yield worker_errors.RunDeadlinePassed(60)
    yield errors.ObjectConflict("other bytes")
    for exception in _RAISED:
        yield worker_errors.PromptFailed(
            "gpu-01", "raised", graph_node="3", exception_type=exception
        )
    yield worker_errors.PromptIncomplete("gpu-01", "9")
    kinds: list[type[NodeError]] = [
        *(worker_errors.PromptStalled, worker_errors.PromptLost, worker_errors.PromptInterrupted),
        *(
            worker_errors.OutputDamaged,
            worker_errors.NodeUnreachable,
            worker_errors.NodeLacks,
            worker_errors.NodeLeaves,
        ),
        *(worker_errors.LeaseLapsed, worker_errors.RequestTooLarge, worker_errors.HandedBack),
    ]
    for kind in kinds:
        yield kind("gpu-01", "as it says")
    yield worker_errors.WorkerDied("gpu-01", 3)
    yield worker_errors.DeliveryFailed("KeyError('ContentLength')")
    yield errors.StorageRefused("refused")
    yield errors.StorageUnreachable("refused")


def _crash_points() -> str:
    rows = ["| place | when a process ends there |", "| --- | --- |"]
    rows += [f"| `{name}` | {what} |" for name, what in CRASHPOINTS.items()]
    intro = "At each a process was killed, and the job reached its one end, or was told of (tests/chaos)."
    return "\n".join(["## Places between two lines", "", intro, "", *rows, ""])


def _faults() -> str:
    lines = ["## Faults, each with the test that holds it", ""]
    for title, path in FAULT_TESTS.items():
        lines += [f"**{title}** (`{path}`)", ""]
        lines += [f"- {claim}" for claim in _claims(ROOT / path)]
        lines.append("")
    return "\n".join(lines)


def _claims(path: Path) -> Iterator[str]:
    for found in ast.parse(path.read_text()).body:
        if isinstance(found, ast.FunctionDef) and found.name.startswith("test_"):
            yield found.name.removeprefix("test_").replace("_", " ")


def _figures() -> str:
    if not FIGURES.exists():
        return ""
    figures = json.loads(FIGURES.read_text())
    lines = ["## Last figures", "", "| what | figure |", "| --- | --- |"]
    for name, values in figures.items():
        if name == "benchmarks":  # they are a table of their own
            continue
        told = ", ".join(f"{what} {value}" for what, value in values.items())
        lines.append(f"| {name} | {told} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
