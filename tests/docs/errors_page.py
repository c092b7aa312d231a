"""The page of errors and causes: the drawn tree, and what each cause means."""

from __future__ import annotations

from typing import Final

from producer.contract import errors
from tests.guarantees import verdicts
from worker.attempt import error_signs, retry

_TOP: Final = """\
# Errors and causes

Written by `python -m tests.docs` from the errors and the retry table; do not edit.

What to do about them: [Errors and what to do](../use/errors.md).

## Errors

Everything that the library raises on purpose is a `FleetError` of `{module}`: `message` says what happened in a sentence that a
person can act on, `advice` what to try, where that is known. What is wrong with a submission has `field` and `graph_node`
as well; `JobNotSucceeded` carries the `job`.

```text
{tree}
```

## Causes

`cause` is one word in a job's record, in its attempts and in its events. *Charged* says whether the attempt counts among
the {charged} that a job may spend by its own fault.

| cause | it means | charged | then |
| --- | --- | --- | --- |
{causes}
"""

#: What each cause means. Those of jobs that no attempt ended stand last.
MEANINGS: Final = {
    "invalid_graph": "ComfyUI refused the graph, or no node has what it needs",
    "invalid_input": "an input file or its bucket is not as it should be",
    "input_missing": "an input object is not in its bucket any more",
    "too_large": "the node, or a proxy before it, takes no request of this size",
    "run_deadline": "the attempt took longer than `run_within`",
    "execution_error": "a graph node raised",
    "out_of_memory": "the node's memory, or its card's, does not suffice",
    "disk_full": "the node's disk is full",
    "device_fault": "the node's card, or its driver, is broken",
    "model_damaged": "a model file on the node cannot be read",
    "io_fault": "the node's disk, mount or limit of open files",
    "needs_login": "a partner node wants a key",
    "incomplete_output": "a graph node that saves has listed no file",
    "output_damaged": "a file came truncated, empty or undecodable",
    "output_conflict": "the key in the bucket holds other bytes",
    "storage_refused": "S3 would refuse the same request again",
    "storage_fault": "the bucket of an `s3://` input has trouble that may pass",
    "delivery_failed": "it was rendered, then the worker failed to store it",
    "stall": "the prompt runs, but makes no progress",
    "interrupted": "somebody interrupted the prompt at its node",
    "prompt_lost": "the node knows the prompt no more: ComfyUI was restarted",
    "node_fault": "the node does not answer, or not as ComfyUI does",
    "node_lacks": "the node lacks a model or class that another node has",
    "node_left": "the node is taken out of the fleet",
    "handed_back": "another node could begin it sooner",
    "lease_lost": "the worker fell silent for longer than a lease",
    "worker_died": "workers of the node died of it, time and again",
    "poison": "too many attempts ended through no fault that could be charged to it",
    "fleet_fault": "an error of the fleet's own that nobody foresaw",
    "not_resumed": "it had begun, then no node took it up again",
    "start_deadline": "no node started it within `start_within`",
    "cancelled": "somebody asked for its end",
}

#: Causes of jobs' ends that no attempt decides.
_BY_ITSELF: Final = {
    "poison": "failed, a dead letter",
    "not_resumed": "failed, a dead letter",
    "start_deadline": "expired",
    "cancelled": "cancelled",
}


def page() -> str:
    """Return the whole page."""
    tree = str(errors.__doc__).partition("\n\n")[2].strip()
    return _TOP.format(
        module=errors.__name__, tree=tree, charged=retry.CHARGED_LIMIT, causes="\n".join(_rows())
    )


def known_causes() -> set[str]:
    """Return every cause that the retry table and the signs of execution errors name."""
    told = {cause for _, cause in retry._CAUSES} | {cause for cause, _ in error_signs._SIGNS}
    return told | {"execution_error", "fleet_fault", *_BY_ITSELF}


def _rows() -> list[str]:
    decided = {cause: (charged, then) for cause, charged, then in verdicts()}
    rows = []
    for cause, meaning in MEANINGS.items():
        charged, then = decided.get(cause, ("", _BY_ITSELF.get(cause, "")))
        rows.append(f"| `{cause}` | {meaning} | {charged} | {then} |")
    return rows
