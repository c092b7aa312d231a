"""Operations check: ends to be told outside, actions on many jobs, what persons want of nodes and pools, named graphs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from producer.checking.findings import Finding, Kind
from producer.store import keys
from producer.store.action_records import ActionRecords
from producer.store.audit import Audit
from producer.store.desired_states import DesiredStates
from producer.store.template_store import TemplateStore

if TYPE_CHECKING:
    from redis import Redis


class OperationsCheck:
    """Checks the outbox, `comfyfleet:actions:waiting`, named graphs, and what is wanted of nodes and pools.

    Args:
        repair: repair what is found.
    """

    def __init__(self, audit: Audit, redis: Redis, *, repair: bool) -> None:
        self._audit = audit
        self._redis = redis
        self._repair = repair
        self._finding = partial(Finding, mended=repair)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings."""
        for entry in self._audit.outbox_strays(mend=self._repair):
            yield self._finding(
                kind=Kind.STRAY_ENTRY,
                about=entry,
                found=f"comfyfleet:outbox lists {entry}, of which nothing is to be told",
                expected="it should not",
            )
        yield from self._actions()
        for key in (keys.DESIRED, keys.QUARANTINED, keys.POOLS):
            yield from self._torn(key)
        yield from self._templates()

    def _actions(self) -> Iterator[Finding]:
        for action, fault in ActionRecords(self._redis).faults(mend=self._repair):
            if fault == "stray":
                yield self._finding(
                    kind=Kind.STRAY_ENTRY,
                    about=action,
                    found=f"{keys.ACTIONS_WAITING} lists action {action}, which is not to be carried out",
                    expected="it should not",
                )
            elif fault == "torn":
                yield Finding(
                    kind=Kind.UNREADABLE_RECORD,
                    about=action,
                    found=f"the record of action {action} cannot be read, so upkeep passes it over",
                    expected="ask for the action again, and delete the record",
                )
            else:
                yield self._finding(
                    kind=Kind.NOT_CARRIED_OUT,
                    about=action,
                    found=f"action {action} has not ended, and upkeep would not come to it",
                    expected=f"{keys.ACTIONS_WAITING} should list it",
                )

    def _torn(self, key: str) -> Iterator[Finding]:
        wishes = DesiredStates(self._redis, key)
        for name in wishes.torn():
            if self._repair:
                wishes.clear(name)
            yield self._finding(
                kind=Kind.TORN_WISH,
                about=name,
                found=f"what {key} wants of {name} cannot be read",
                expected="it should be set anew, or taken out",
            )

    def _templates(self) -> Iterator[Finding]:
        store = TemplateStore(self._redis)
        for owner in store.owners():
            of_whom = f" of owner {owner}" if owner else ""
            for name in store.torn(owner=owner):
                yield Finding(  # nobody but its owner has the graph
                    kind=Kind.TORN_TEMPLATE,
                    about=name,
                    found=f"template {name}{of_whom} cannot be read",
                    expected="it should be put again, or deleted",
                )
