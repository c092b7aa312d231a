"""The `extra_data` that is posted with a prompt, keys for partner nodes included; strips them from errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from producer.contract.errors import FleetError, FleetUnreachable, InvalidInput
from producer.contract.graph.extra_data import ExtraData
from producer.contract.jobs import Job
from producer.store.job_store import JobStore
from worker.comfyui.returned_values import Values

#: Shorter texts are no keys, and would be found in any message.
_SHORTEST_SECRET: Final = 6


def marks_of(job: Job) -> dict[str, Any]:
    """Return by which `extra_data` tells the prompts of one attempt from all others."""
    return {"job_id": job.id, "job_attempt": job.attempt}


class ExtraDataSource:
    """Puts together the `extra_data` of each attempt.

    Args:
        api_key: for jobs that come without one.
    """

    def __init__(self, store: JobStore, *, api_key: str | None = None) -> None:
        self._store = store
        self._api_key = api_key

    def of(self, job: Job) -> dict[str, Any]:
        """Return what a job's prompt is posted with; not to be written down anywhere.

        Raises:
            FleetUnreachable: Redis did not answer.
            InvalidInput: a part of it has expired.
        """
        own = self._store.extra_data(job)
        given = ExtraData(shared={}, secrets=own).with_key(self._api_key)
        # Who looks at the node's queue, or into its history, finds the job again.
        return {**given.secrets, **marks_of(job)}

    def without_secrets(self, job: Job, error: FleetError) -> FleetError:
        """Return *error* without the job's secrets in its text: a node may repeat what it was given."""
        try:
            known = list(_texts(self._secrets(job)))
        except FleetUnreachable:
            error.message = f"{type(error).__name__}: not shown, lest it hold secrets of the job"
            known = []
        for name in ("message", "detail", "advice"):
            if text := getattr(error, name, None):
                setattr(error, name, _without(known, text))
        error.args = (error.message,)
        return error

    def values_without_secrets(self, job: Job, values: Values) -> Values:
        """Return what graph nodes showed without the job's secrets: some show what they were given.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        known = list(_texts(self._secrets(job)))
        return {
            graph_node: {
                key: [_cleaned(known, item) for item in items] for key, items in found.items()
            }
            for graph_node, found in values.items()
        }

    def _secrets(self, job: Job) -> list[Any]:
        if not job.secrets:
            return [self._api_key]
        try:
            extra = self._store.extra_data(job)
        except InvalidInput:  # they have expired
            return [self._api_key]
        return [self._api_key, *(extra.get(name) for name in job.secrets)]


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = _without_parts(secret, text.replace(secret, "***"))
    return text


def _without_parts(secret: str, text: str) -> str:
    """Return *text* without the part of a secret that a cut has left at its end, or around its `…`."""
    for length in range(min(len(secret) - 1, len(text)), _SHORTEST_SECRET - 1, -1):
        begin, end = secret[:length], secret[-length:]
        if text.endswith(begin):
            text = f"{text[:-length]}***"
        for cut in ("…", " …"):
            text = text.replace(f"{begin}{cut}", f"***{cut}")
        text = text.replace(f"… {end}", "… ***")
    return text


def _cleaned(secrets: list[str], value: Any) -> Any:
    if isinstance(value, str):
        return _without(secrets, value)
    if isinstance(value, list):
        return [_cleaned(secrets, part) for part in value]
    if isinstance(value, dict):
        return {_without(secrets, key): _cleaned(secrets, part) for key, part in value.items()}
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
