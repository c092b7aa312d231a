"""What persons want of nodes and pools, and what they have done."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class DesiredState(StrEnum):
    """What a person wants of a node, or of all nodes of a pool; without a wish they take work."""

    DRAINED = "drained"  #: Finishes what it holds, takes nothing, then is paused.
    PAUSED = "paused"  #: Takes nothing until it is resumed.
    QUARANTINED = (
        "quarantined"  #: Set aside as after faults, until a person clears it; of nodes alone.
    )


class _Read(BaseModel):
    # A newer version may tell more; an older reader passes that over.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Desired(_Read):
    """One wish; times are aware and UTC.

    `state` is a value of `DesiredState`, or a word of a newer version. With `until` it is over by itself then.
    """

    state: str
    actor: str
    reason: str = ""
    since: datetime
    until: datetime | None = None

    @property
    def told(self) -> str:
        """What is wanted, by whom, until when and why, for a person."""
        by = f" by {self.actor}" if self.actor else ""
        until = f", until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{self.state}{by}{until}{f': {self.reason}' if self.reason else ''}"


class Wanted(NamedTuple):
    """What persons want of a node, as its worker is told.

    The others are when somebody asked last that its doubts be forgotten, that it be tried, that its ComfyUI be
    restarted once it holds no job, and at once: Unix ms as text, empty for never. Each asking has another time.
    """

    own: Desired | None = None
    quarantine: Desired | None = None
    pool: Desired | None = None  #: What is wanted of each node of its pool.
    clear_asked: str = ""
    probe_asked: str = ""
    restart_asked: str = ""
    restart_now_asked: str = ""


class Asked(NamedTuple):
    """What persons have asked of a node's worker since it was told last."""

    clear: bool = False
    probe: bool = False
    restart: bool = False
    restart_now: bool = False


class Action(_Read):
    """What somebody has done to jobs, batches, nodes or pools, or to what an owner keeps in the fleet.

    `origin` says from where, as `cli@host` or an address; `what` is the verb; `selection` the filter or the
    names that it was done to, `count` how many these were, `owner` whose, where that is one; `detail` what it was
    changed to, where the verb does not say it. `more` counts what the same actor did before, too often to be written.
    """

    id: str = ""  #: The stream's id, which tells the order.
    at: datetime
    actor: str = ""  #: Empty where the library was not told.
    origin: str = ""
    what: str
    selection: str = ""
    count: int = 0
    owner: str = ""
    detail: str = ""
    reason: str = ""
    more: int = 0
