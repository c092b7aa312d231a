"""Access keys of the HTTP API: whose they are, and what they allow."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from producer.contract.queues import Tier


class Scope(StrEnum):
    """What an access key allows. Redis stores the value; never rename one."""

    SUBMIT = "submit"  #: Hand in jobs and batches of its owner, and cancel, hold, release and retry them.
    READ = "read"  #: Read jobs, batches, events and artifacts of its owner.
    OPERATE = "operate"  #: See nodes and pools, and say what they shall do.
    ADMIN = "admin"  #: All of these, for every owner.


class AccessKey(BaseModel):
    """An access key as it is listed: the key itself is stored nowhere. Times are aware and UTC."""

    # A newer version may write more; an older reader passes that over.
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str  #: The first 12 hexadecimal digits of its SHA-256: tells keys apart in logs, opens nothing.
    name: str
    owner: str  #: Of all that is handed in with it, and the only one whose jobs it sees, but for `admin`.
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    rate: float | None = None  #: Requests a second; as many may come at once. None: no limit.
    max_waiting: int | None = (
        None  #: Jobs of its owner that may wait when one is handed in with it.
    )
    top_tier: Tier | None = None  #: The most urgent tier that it may ask for.

    def allows(self, scope: Scope) -> bool:
        """Tell whether it has a scope; `admin` has each."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, owner: str) -> bool:
        """Tell whether what is *owner*'s may be seen with it."""
        return owner == self.owner or self.sees_all

    @property
    def sees_all(self) -> bool:
        """Whether it sees what is whoever's."""
        return Scope.ADMIN in self.scopes

    @property
    def tiers(self) -> list[Tier]:
        """The tiers that it may ask for, the most urgent first."""
        first = 0 if self.top_tier is None else self.top_tier.priority
        return [tier for tier in Tier if tier.priority >= first]
