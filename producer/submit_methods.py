"""Submit methods: jobs checked, recorded and sent; `producer.client.Producer` inherits them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Unpack

from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError, FleetUnreachable, InvalidJob, KeyReused
from producer.contract.graph.graph import GraphLike
from producer.contract.jobs import Job
from producer.contract.json_texts import read_json
from producer.contract.outcomes import Submitted
from producer.contract.queues import Message
from producer.contract.submissions import Content, Submission
from producer.dispatch import Dispatch
from producer.grouped_calls import GroupedCalls
from producer.intake.admission import Intake
from producer.intake.request import JobOptions, MustWait, Request, check_names, is_large, request_of
from producer.intake.sent_again import sent_again
from producer.store.job_store import JobStore
from producer.store.made_jobs import made_under
from producer.store.new_jobs import Added
from producer.threaded_calls import in_thread
from producer.webhooks.methods import Webhooks

if TYPE_CHECKING:
    from redis import Redis


class SubmitMethods:
    """The methods of `Producer` that make jobs of requests."""

    _jobs: JobStore
    _intake: Intake
    _dispatch: Dispatch
    _redis: Redis
    webhooks: Webhooks

    def submit_once(self, graph: GraphLike, **options: Unpack[JobOptions]) -> Submitted:
        """Submit one job as `submit` does, and tell whether its idempotency key had made it before."""
        return self._submit(request_of(graph, options))

    def made_before(self, graph: GraphLike, **options: Unpack[JobOptions]) -> Job | None:
        """Return the job that the same request has made before under its idempotency key; None if there is none.

        What has changed since is no matter: its template may be deleted, its webhook too, and no node may have what it
        needs. Its files are looked at anew.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        return self._made_before(request_of(graph, options))

    def _submit_each(self, requests: Sequence[Request]) -> list[Submitted | Exception]:
        """Submit jobs that have nothing to do with each other, each as `submit_once` does, in one go.

        Returns:
            Of each what `submit_once` returns, or the error that it raises; `MustWait` where it may not wait.

        Raises:
            FleetUnreachable: Redis did not answer; some may have been submitted.
        """
        checked_: list[tuple[Submission, Content] | Exception] = [
            self._checked(request) for request in requests
        ]
        accepted = [found for found in checked_ if not isinstance(found, Exception)]
        added = self._added(accepted)
        answers = iter(added)
        return [
            self._answered(
                request, found if isinstance(found, Exception) else self._submitted(next(answers))
            )
            for request, found in zip(requests, checked_, strict=True)
        ]

    def _answered(self, request: Request, found: Submitted | Exception) -> Submitted | Exception:
        """Return what a request is answered with: where it is refused by now, the job that it has made before."""
        if not isinstance(found, InvalidJob | KeyReused) or request.idempotency_key is None:
            return found
        try:
            made = self._made_before(request)
        except FleetError as exc:
            return exc
        return Submitted(made, is_replay=True) if made else found

    def _made_before(self, request: Request) -> Job | None:
        try:
            check_names(request)
            key = request.idempotency_key
            before = made_under(self._redis, key, owner=request.owner) if key else None
            if before is None:
                return None
            job = self._jobs.get(before.id)
            again = sent_again(self._intake, request, self._kept(job))
        except FleetUnreachable:
            raise
        except (FleetError, MustWait):
            return None  # it is a batch's, or gone, or another request: this one is refused for what it is
        return job if again.fingerprint == before.fingerprint else None

    def _kept(self, job: Job) -> GraphLike:
        extra = read_json(self._jobs.shared_extra_data(job)) if job.extra_data else {}
        return {"prompt": read_json(self._jobs.graph(job.template)), "extra_data": extra}

    def _submit(self, request: Request) -> Submitted:
        [found] = self._submit_each([request])
        if isinstance(found, Exception):
            raise found
        return found

    def _checked(self, request: Request) -> tuple[Submission, Content] | Exception:
        try:
            self.webhooks.check_hook(request.hook, owner=request.owner)
            return self._intake.check(request)
        except Exception as exc:  # noqa: BLE001 - it is this request's alone, also if it is a bug
            return exc

    def _added(self, accepted: Sequence[tuple[Submission, Content]]) -> list[Added | FleetError]:
        """Record jobs, each with its message: whoever dies after the record would leave that to upkeep."""
        messages = [Message(one.id, 1, one.queue, one.tier.priority) for one, _ in accepted]
        written = map(self._dispatch.written, messages)
        added = self._jobs.add_each(
            [(*one, message) for one, message in zip(accepted, written, strict=True)]
        )
        unsent = []
        for message, one in zip(messages, added, strict=True):
            if not isinstance(one, FleetError) and one.is_new:
                crashpoint("submit.recorded")
                unsent += [message] if one.is_unsent else []
        self._dispatch.try_send_all(unsent)  # once more, and what is wrong is said
        return added

    def _submitted(self, added: Added | FleetError) -> Submitted | Exception:
        if isinstance(added, FleetError):
            return added
        try:
            job = added.job or self._jobs.get(added.job_id)
        except FleetError as exc:
            return exc
        return Submitted(job, not added.is_new)


class AsyncSubmitMethods:
    """The same for asyncio. What is handed in at one moment goes together; see `GroupedCalls`."""

    _sync: SubmitMethods

    @cached_property
    def _together(self) -> GroupedCalls[Request, Submitted]:
        return GroupedCalls(self._sync._submit_each)  # noqa: SLF001 - its other half

    made_before = in_thread(SubmitMethods.made_before)

    async def submit(self, graph: GraphLike, **options: Unpack[JobOptions]) -> Job:
        """Submit one job; options and errors as of `Producer.submit`."""
        return (await self.submit_once(graph, **options)).job

    async def submit_once(self, graph: GraphLike, **options: Unpack[JobOptions]) -> Submitted:
        """Submit one job, and tell whether it is new; all as of `Producer.submit_once`."""
        request = request_of(graph, options)
        if not (request.inputs or is_large(request.graph)):  # which may take long
            with suppress(MustWait):
                return await self._together(replace(request, may_wait=False))
        return await asyncio.to_thread(self._sync.submit_once, graph, **options)
