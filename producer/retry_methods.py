"""Retry methods: submit ended jobs again; `producer.client.Producer` inherits them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

from producer.contract.arguments import job_id_of
from producer.contract.jobs import Job, JobStatus
from producer.contract.outcomes import Submitted
from producer.contract.queues import Tier
from producer.dead_letters import DeadLetters
from producer.dispatch import Dispatch
from producer.intake.admission import Intake
from producer.intake.retries import retry_of
from producer.store.actions import Actions
from producer.store.dead_letters import DeadLetterIndex
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.retries import Retries, no_dead_letter
from producer.upkeep.made_again import make_again


class RetryMethods:
    """The methods of `Producer` for ended jobs, and dead letters."""

    _actions: Actions
    _jobs: JobStore
    _nodes: NodeStore
    _retries: Retries
    _intake: Intake
    _dispatch: Dispatch
    _dead_index: DeadLetterIndex

    def retry(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pin: str | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> Job:
        """Submit an ended job again as a new job, whose `retry_of` names it; return the new job.

        It has the same graph, params, inputs, metadata, owner, batch and pool; in the batch's
        counts it replaces the old one. A job is retried once: further calls, also concurrent ones,
        return the same new job. If that has failed, retry that one.

        Args:
            tier, pin: in place of the old job's.
            secrets: the secrets of its `extra_data`; the old job's are deleted.

        Raises:
            JobNotFound: no such job, or its record has expired.
            InvalidJob: it has not ended, its graph has expired, or there is no such tier or node.
            OwnerBacklogFull: the limit of its owner's waiting jobs is reached.
        """
        return self.retry_once(job_id, tier=tier, pin=pin, secrets=secrets).job

    def retry_once(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pin: str | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> Submitted:
        """Submit an ended job again as `retry` does, and tell whether a call before had made the new job."""
        return self._made_again(job_id, tier=tier, pin=pin, secrets=secrets, only_dead=False)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Failed jobs that a person should look at: list, show, redrive, drop."""
        again = partial(self._made_again, only_dead=True)
        return DeadLetters(self._dead_index, again, self._actions)

    def _made_again(
        self,
        job_id: str,
        *,
        only_dead: bool,
        secrets: Mapping[str, Any] | None,
        tier: Tier | str | None = None,
        pin: str | None = None,
    ) -> Submitted:
        old = self._jobs.get(job_id_of(job_id))
        if only_dead and old.done and old.status is not JobStatus.FAILED:
            # Redis would give the job that was made of it by another hand.
            raise no_dead_letter(old.id, status=old.status)
        extra = self._intake.secrets(secrets or {}, wanted=old.secrets)
        submission = retry_of(
            old,
            needs=self._retries.needs_of(old.queue),
            tier=tier,
            pin=pin,
            nodes=self._nodes.nodes() if pin is not None else (),
            secrets=extra.secrets,
        )
        new_id, is_new = make_again(
            submission,
            jobs=self._jobs,
            retries=self._retries,
            dispatch=self._dispatch,
            secrets=extra.secrets_json,
            only_dead=only_dead,
        )
        return Submitted(self._jobs.get(new_id), is_replay=not is_new)
