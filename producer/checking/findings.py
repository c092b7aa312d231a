"""What a check of the fleet's memory may find, and how it says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What is wrong. The value is what `comfyfleet check --json` prints; never rename one."""

    UNREADABLE_RECORD = "unreadable_record"
    MISSING_LEASE = "missing_lease"
    LAPSED_LEASE = "lapsed_lease"
    MISSING_FROM_QUEUE = "missing_from_queue"
    MISSING_DELAY = "missing_delay"
    MISSING_START_DEADLINE = "missing_start_deadline"
    STRAY_ENTRY = "stray_entry"
    EXPIRED_DEAD_LETTER = "expired_dead_letter"
    MISSING_FROM_BATCH = "missing_from_batch"
    WRONG_COUNT = "wrong_count"
    NOT_FED = "not_fed"
    WRONG_END = "wrong_end"
    LOST_ROWS = "lost_rows"
    UNKNOWN_QUEUE = "unknown_queue"
    UNUSED_QUEUE = "unused_queue"
    NOT_STARTED = "not_started"
    MISSING_OBJECT = "missing_object"
    WRONG_SIZE = "wrong_size"
    ORPHAN_OBJECT = "orphan_object"
    UNFINISHED_UPLOAD = "unfinished_upload"
    UPLOADS_UNSEEN = "uploads_unseen"


#: What time or upkeep brings about by itself; nobody has to act.
_NOTES: Final = frozenset({Kind.EXPIRED_DEAD_LETTER, Kind.UNUSED_QUEUE, Kind.UPLOADS_UNSEEN})

_MENDABLE: Final = frozenset(
    {
        Kind.MISSING_LEASE,
        Kind.MISSING_FROM_QUEUE,
        Kind.MISSING_DELAY,
        Kind.MISSING_START_DEADLINE,
        Kind.STRAY_ENTRY,
        Kind.EXPIRED_DEAD_LETTER,
        Kind.MISSING_FROM_BATCH,
        Kind.WRONG_COUNT,
        Kind.NOT_FED,
        Kind.WRONG_END,
        Kind.ORPHAN_OBJECT,
        Kind.UNFINISHED_UPLOAD,
    }
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    Args:
        about: the job, batch, queue, index or object.
        found: what is, as a sentence without its full stop.
        expected: what should be, as the sentence's second half.
        mended: the check has put it right.
        is_young: too young to be judged; a later check may mend it.
    """

    kind: Kind
    about: str
    found: str
    expected: str
    mended: bool = False
    is_young: bool = False

    @property
    def is_note(self) -> bool:
        """Whether it is told only so that it is known."""
        return self.kind in _NOTES or self.is_young

    @property
    def is_left(self) -> bool:
        """Whether somebody has to act on it."""
        return not (self.mended or self.is_note)

    @property
    def can_be_mended(self) -> bool:
        """Whether a check that was asked to repair would put it right."""
        return self.kind in _MENDABLE and not (self.mended or self.is_young)

    @property
    def sentence(self) -> str:
        """The whole of it, for a person."""
        return f"{self.found}; {self.expected}" + (" (mended)" if self.mended else "")

    def to_json(self) -> dict[str, Any]:
        """Return it for `print_json`."""
        return {
            "kind": self.kind,
            "about": self.about,
            "found": self.found,
            "expected": self.expected,
            "note": self.is_note,
            "mended": self.mended,
        }
