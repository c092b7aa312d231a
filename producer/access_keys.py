"""Access keys: made, listed, revoked, and checked when a request brings one.

A key has 256 random bits, so nobody can guess it or find it from its hash: plain SHA-256 is enough, where a
password that a person chose would need a slow hash with salt.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from typing import Final, NamedTuple

from producer.contract.access import AccessKey, Scope
from producer.contract.errors import (
    AccessKeyNotValid,
    FleetError,
    InvalidJob,
    ScopeMissing,
    TooManyRequests,
)
from producer.contract.graph.json_values import printable, text_flaw
from producer.contract.owners import owner_flaw
from producer.contract.queues import Tier, is_name
from producer.contract.submissions import LONGEST_WITHIN_S
from producer.grouped_calls import GroupedCalls
from producer.intake.request import as_tier
from producer.store.access_keys import AccessKeyRecords, Admission
from producer.store.actions import Actions
from producer.threaded_calls import in_thread

#: Begins every key, so that scanners for leaked secrets can be taught it.
PREFIX: Final = "cfk_"
_BYTES: Final = 32
#: Characters of what may be a key.
_LONGEST: Final = 200
_FASTEST: Final = 100_000
_MOST_WAITING: Final = 1 << 53


class NewAccessKey(NamedTuple):
    """A key as it is made. The secret is told this once: Redis has its hash alone."""

    key: AccessKey
    secret: str

    def __repr__(self) -> str:
        """Show no secret, so that logging it by mistake tells none."""
        return f"NewAccessKey({self.key.name!r})"


class AccessKeys:
    """The access keys of a fleet; `Producer.keys` is one of these."""

    def __init__(self, records: AccessKeyRecords, actions: Actions) -> None:
        self._records = records
        self._actions = actions

    def create(
        self,
        name: str,
        *,
        owner: str,
        scopes: Iterable[Scope | str],
        expires_in: timedelta | None = None,
        rate: float | None = None,
        max_waiting: int | None = None,
        top_tier: Tier | str | None = None,
    ) -> NewAccessKey:
        """Make a key, and return it with its secret, which is told this once.

        Args:
            name: by which people know it; no two keys have the same.
            owner: whose jobs it hands in and sees.
            scopes: what it allows; one at least.
            expires_in: it opens nothing after that; None: never.
            rate: requests a second; as many may come at once.
            max_waiting: jobs of its owner that may wait when one is handed in with it.
            top_tier: the most urgent tier that it may ask for.

        Raises:
            InvalidJob: one of these makes no sense, or another key has this name; names the field.
            FleetUnreachable: Redis does not answer.
        """
        if text_flaw(name) or not is_name(name):
            raise InvalidJob(
                f"name {printable(str(name))} is no name; expected 1 to 63 characters: a to z, 0 to 9, "
                "and . _ - after the first",
                field="name",
            )
        flaw = text_flaw(owner) or ("is empty; expected a name" if not owner else owner_flaw(owner))
        if flaw:
            raise InvalidJob(f"owner {flaw}", field="owner")
        _check_number(rate, most=_FASTEST, field="rate")
        _check_number(max_waiting, most=_MOST_WAITING, field="max_waiting")
        if expires_in is not None and not 0 < expires_in.total_seconds() <= LONGEST_WITHIN_S:
            raise InvalidJob(
                f"expires_in is {expires_in}; expected more than 0 s and at most ten years",
                field="expires_in",
            )
        fields = {
            "name": name,
            "owner": owner,
            "scopes": sorted({_as_scope(scope) for scope in scopes}),
            "rate": rate,
            "max_waiting": max_waiting,
            "top_tier": None if top_tier is None else as_tier(top_tier),
        }
        if not fields["scopes"]:
            raise InvalidJob(
                f"scopes are none; expected some of {', '.join(Scope)}", field="scopes"
            )
        secret = PREFIX + secrets.token_urlsafe(_BYTES)
        key = self._records.add(_digest(secret), fields, life=expires_in)
        if key is None:
            raise InvalidJob(
                f"another key is called {name}",
                field="name",
                advice="take another name, or revoke that one first",
            )
        told = f"scopes {','.join(sorted(key.scopes))}"
        self._actions.write("key.create", selection=name, owner=owner, detail=told)
        return NewAccessKey(key, secret)

    def list(self) -> list[AccessKey]:
        """Return every key, by name, expired ones too."""
        return self._records.all()

    def revoke(self, name: str) -> bool:
        """Have a key open nothing from now on; return whether there was one of this name."""
        was_there = self._records.remove(name)
        if was_there:
            self._actions.write("key.revoke", selection=name)
        return was_there

    def probe(self) -> None:
        """Return if a request could be admitted; raises FleetUnreachable."""
        self._records.admit("")

    def admit(self, secret: str, scope: Scope | None = None) -> AccessKey:
        """Count one request with a key, and return the key if it has the scope; None asks for none.

        Raises:
            AccessKeyNotValid: there is no such key, or it has expired.
            TooManyRequests: it was used faster than it may be.
            ScopeMissing: it does not allow this.
            FleetUnreachable: Redis does not answer.
        """
        [found] = self.admit_each([secret])
        if isinstance(found, FleetError):
            raise found
        return found if scope is None else allowing(found, scope)

    def admit_each(self, given: Sequence[str]) -> Sequence[AccessKey | FleetError]:
        """Count a request with each of some secrets; return of each its key, or the error of `admit`.

        Raises:
            FleetUnreachable: Redis does not answer.
        """
        # What cannot be a key is asked for, too, so that all answers take as long; it fits no record.
        hashes = [_digest(secret) if _may_be_key(secret) else "" for secret in given]
        return [_admitted(found) for found in self._records.admit_each(hashes)]

    def look_each(self, given: Sequence[str]) -> Sequence[AccessKey | FleetError]:
        """Return of each secret its key, or the error of `admit`, without counting a request."""
        hashes = [_digest(secret) if _may_be_key(secret) else "" for secret in given]
        return [_admitted(found) for found in self._records.admit_each(hashes, counts=False)]


def _may_be_key(secret: str) -> bool:
    return secret.startswith(PREFIX) and len(secret) <= _LONGEST


def _admitted(found: Admission | FleetError) -> AccessKey | FleetError:
    if isinstance(found, FleetError):
        return found
    outcome, key, after = found
    if outcome == "expired":
        return AccessKeyNotValid("the access key has expired", advice="ask for a new one")
    if key is None:
        return AccessKeyNotValid("there is no such access key, or it was revoked")
    if outcome == "limited":
        return TooManyRequests(
            f"access key {key.name} may be used {key.rate:g} times a second", after=after
        )
    return key


class AsyncAccessKeys:
    """The same for asyncio; each call runs in a thread, those of one moment to admit somebody together."""

    def __init__(self, calls: AccessKeys) -> None:
        self._sync = calls
        self._admit: GroupedCalls[str, AccessKey] = GroupedCalls(calls.admit_each)
        self._look: GroupedCalls[str, AccessKey] = GroupedCalls(calls.look_each)
        self._admitting: Executor | None = None

    def run_in(self, threads: Executor) -> None:
        """Admit requests in threads of their own from now on: those of other calls may all be busy."""
        self._admitting = self._admit.threads = self._look.threads = threads

    create = in_thread(AccessKeys.create)
    list = in_thread(AccessKeys.list)
    revoke = in_thread(AccessKeys.revoke)

    async def probe(self) -> None:
        """Return if a request could be admitted; raises FleetUnreachable."""
        await asyncio.get_running_loop().run_in_executor(self._admitting, self._sync.probe)

    async def admit(self, secret: str, scope: Scope | None = None) -> AccessKey:
        """Count one request with a key; errors as of `AccessKeys.admit`."""
        key = await self._admit(secret)
        return key if scope is None else allowing(key, scope)

    async def look(self, secret: str) -> AccessKey:
        """Return a key without counting a request, if it opens something still; errors as of `admit`."""
        return await self._look(secret)


def allowing(key: AccessKey, scope: Scope) -> AccessKey:
    """Return a key that has a scope.

    Raises:
        ScopeMissing: it has not.
    """
    if not key.allows(scope):
        raise ScopeMissing(key.name, scope, sorted(key.scopes))
    return key


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _as_scope(value: Scope | str) -> Scope:
    try:
        return Scope(value)
    except ValueError:
        raise InvalidJob(
            f"there is no scope {printable(str(value))}; scopes are {', '.join(Scope)}",
            field="scopes",
        ) from None


def _check_number(value: float | None, *, most: int, field: str) -> None:
    if value is not None and not (math.isfinite(value) and 0 < value <= most):
        raise InvalidJob(
            f"{field} is {value:g}; expected more than 0 and at most {most:,}", field=field
        )
