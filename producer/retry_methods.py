"""Retry methods: submit ended jobs again; `producer.client.Producer` inherits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from producer.contract.arguments import checked, job_id_of
from producer.contract.errors import InvalidJob, JobNotFound
from producer.contract.jobs import Job
from producer.contract.nodes import Node, NodeTimes
from producer.contract.queues import Message, Tier
from producer.dead_letters import DeadLetters
from producer.dispatch import Dispatch
from producer.intake.admission import Intake
from producer.intake.request import check_place
from producer.intake.retries import retry_of
from producer.store.actions import Actions
from producer.store.dead_letters import DeadLetterIndex
from producer.store.job_store import JobStore
from producer.store.node_seconds import NodeSeconds
from producer.store.node_store import NodeStore
from producer.store.retries import Retries


class RetryMethods:
    """The methods of `Producer` for ended jobs, dead letters, and nodes."""

    _actions: Actions
    _jobs: JobStore
    _nodes: NodeStore
    _node_seconds: NodeSeconds
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
        return self._made_again(job_id, tier=tier, pin=pin, secrets=secrets, only_dead=False)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Failed jobs that a person should look at: list, show, redrive, drop."""
        again = partial(self._made_again, only_dead=True)
        return DeadLetters(self._dead_index, again, self._actions)

    def nodes(self) -> list[Node]:
        """Return every node that sent a beat within the last week, sorted by name."""
        return self._nodes.nodes()

    def node_times(self, name: str) -> NodeTimes:
        """Return how long models take to load on a node, and graph nodes to run, as far as it was seen.

        Raises:
            InvalidJob: the fleet has no such node.
        """
        return self._node_seconds.times_of(node_named(name, self.nodes()).device)

    def _made_again(
        self,
        job_id: str,
        *,
        only_dead: bool,
        secrets: Mapping[str, Any] | None,
        tier: Tier | str | None = None,
        pin: str | None = None,
    ) -> Job:
        old = self._jobs.get(job_id_of(job_id))
        extra = self._intake.secrets(secrets or {}, wanted=old.secrets)
        submission = retry_of(
            old,
            needs=self._retries.needs_of(old.queue),
            tier=tier,
            pin=pin,
            nodes=self.nodes() if pin is not None else (),
            secrets=extra.secrets,
        )
        add = partial(
            self._retries.add, submission, secrets=extra.secrets_json, only_dead=only_dead
        )
        try:
            new_id, is_new = add()
        except JobNotFound:
            # A row that ended with its batch has no record; it gets one while its values are kept.
            if old.batch is None:
                raise
            self._jobs.give_record(old.id)
            new_id, is_new = add()
        if is_new:
            priority = submission.tier.priority
            self._dispatch.try_send_all([Message(new_id, 1, submission.queue, priority)])
        return self._jobs.get(new_id)


def node_named(name: str, nodes: Sequence[Node]) -> Node:
    """Return the node of a name.

    Raises:
        InvalidJob: there is none.
    """
    try:
        check_place(nodes, pool=None, pin=checked(name, str, field="node"))
    except InvalidJob as exc:
        exc.field = "node"
        raise
    for node in nodes:
        if node.name == name:
            return node
    raise InvalidJob(f"there is no node {name!r}: the fleet has none yet", field="node")
