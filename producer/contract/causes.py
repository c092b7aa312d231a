"""Causes: why an attempt or a job ended without success, one word each, as in records and events."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why an attempt or a job ended without success.

    Records have it as text: a newer worker may write a cause that an older reader does not know.
    """

    INVALID_GRAPH = "invalid_graph"  #: ComfyUI refused the graph, or no node has what it needs.
    INVALID_INPUT = "invalid_input"  #: An input file, or its bucket, cannot be used.
    INPUT_MISSING = "input_missing"  #: An input object is not in its bucket any more.
    TOO_LARGE = "too_large"  #: The node, or a proxy before it, refuses a request of this size.
    RUN_DEADLINE = "run_deadline"  #: The attempt took longer than `run_within`.
    EXECUTION_ERROR = "execution_error"  #: A graph node raised.
    OUT_OF_MEMORY = "out_of_memory"  #: The node's memory, or its GPU's, does not suffice.
    DISK_FULL = "disk_full"  #: The node's disk is full.
    DEVICE_FAULT = "device_fault"  #: The node's GPU, or its driver, failed.
    MODEL_DAMAGED = "model_damaged"  #: A model file on the node cannot be read.
    IO_FAULT = "io_fault"  #: The node's disk or mount failed, or it has too many open files.
    NEEDS_LOGIN = "needs_login"  #: A partner node requires an API key.
    INCOMPLETE_OUTPUT = "incomplete_output"  #: A graph node that saves has listed no file.
    OUTPUT_DAMAGED = "output_damaged"  #: A file came truncated, empty or undecodable.
    OUTPUT_CONFLICT = "output_conflict"  #: Another object is stored under the key.
    STORAGE_REFUSED = "storage_refused"  #: S3 would refuse the same request again.
    STORAGE_FAULT = "storage_fault"  #: The bucket of an `s3://` input failed, perhaps temporarily.
    DELIVERY_FAILED = "delivery_failed"  #: It was rendered, then the worker failed to store it.
    STALL = "stall"  #: The prompt runs, but makes no progress.
    INTERRUPTED = "interrupted"  #: The prompt was interrupted at its node, not by the fleet.
    PROMPT_LOST = "prompt_lost"  #: The node no longer knows the prompt: ComfyUI was restarted.
    NODE_FAULT = "node_fault"  #: The node does not answer, or not as ComfyUI does.
    NODE_LACKS = "node_lacks"  #: The node lacks a model or class that another node has.
    NODE_LEFT = "node_left"  #: The node was removed from the fleet.
    HANDED_BACK = "handed_back"  #: Another node could begin it sooner.
    LEASE_LOST = "lease_lost"  #: The worker did not renew its lease in time.
    WORKER_DIED = "worker_died"  #: Workers of the node died repeatedly while they ran it.
    POISON = "poison"  #: Too many attempts ended by faults that were not charged to it.
    FLEET_FAULT = "fleet_fault"  #: An unexpected error in the fleet's own code.
    NOT_RESUMED = "not_resumed"  #: It had begun, then no node started it again.
    START_DEADLINE = "start_deadline"  #: No node started it within `start_within`.
    CANCELLED = "cancelled"  #: Its cancellation was requested.


#: Failures that are no fault of the job's own: they brake no batch.
NOT_OWN = (
    *(Cause.POISON, Cause.FLEET_FAULT, Cause.NOT_RESUMED, Cause.LEASE_LOST, Cause.WORKER_DIED),
    *(Cause.NODE_FAULT, Cause.NODE_LEFT, Cause.STORAGE_REFUSED, Cause.STORAGE_FAULT),
    Cause.DELIVERY_FAILED,
)
