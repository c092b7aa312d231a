"""Findings of a check: their kinds, which of them can be repaired, and the sentence for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """The kind of a finding. `comfyfleet check --json` prints the value; never rename one."""

    UNREADABLE_RECORD = "unreadable_record"
    MISSING_LEASE = "missing_lease"
    LAPSED_LEASE = "lapsed_lease"
    MISSING_FROM_QUEUE = "missing_from_queue"
    MISSING_DELAY = "missing_delay"
    MISSING_START_DEADLINE = "missing_start_deadline"
    STRAY_ENTRY = "stray_entry"
    EXPIRED_DEAD_LETTER = "expired_dead_letter"
    EXPIRED_ENTRY = "expired_entry"
    MISSING_FROM_LIST = "missing_from_list"
    MISSING_FROM_BATCH = "missing_from_batch"
    WRONG_COUNT = "wrong_count"
    NOT_FED = "not_fed"
    WRONG_END = "wrong_end"
    LOST_ROWS = "lost_rows"
    NOT_PACKED = "not_packed"
    TORN_RATES = "torn_rates"
    TORN_TOTAL = "torn_total"
    TORN_WISH = "torn_wish"
    TORN_TEMPLATE = "torn_template"
    TORN_ROWS = "torn_rows"
    RESULTS_NOT_WRITTEN = "results_not_written"
    NOT_TOLD = "not_told"
    NOT_COPIED = "not_copied"
    NOT_CARRIED_OUT = "not_carried_out"
    UNKNOWN_QUEUE = "unknown_queue"
    UNUSED_QUEUE = "unused_queue"
    NOT_STARTED = "not_started"
    MISSING_OBJECT = "missing_object"
    WRONG_SIZE = "wrong_size"
    ORPHAN_OBJECT = "orphan_object"
    UNFINISHED_UPLOAD = "unfinished_upload"
    UPLOADS_UNSEEN = "uploads_unseen"
    NOT_CHECKED = "not_checked"


#: Kinds that need no action: they arise in normal operation, or only limit what the check can see.
_NOTES: Final = frozenset(
    {
        Kind.EXPIRED_DEAD_LETTER,
        Kind.EXPIRED_ENTRY,
        Kind.NOT_PACKED,
        Kind.RESULTS_NOT_WRITTEN,
        Kind.UNUSED_QUEUE,
        Kind.UPLOADS_UNSEEN,
    }
)

_MENDABLE: Final = frozenset(
    {
        Kind.MISSING_LEASE,
        Kind.MISSING_FROM_QUEUE,
        Kind.MISSING_DELAY,
        Kind.MISSING_START_DEADLINE,
        Kind.STRAY_ENTRY,
        Kind.NOT_PACKED,
        Kind.RESULTS_NOT_WRITTEN,
        Kind.NOT_TOLD,
        Kind.NOT_COPIED,
        Kind.NOT_CARRIED_OUT,
        Kind.EXPIRED_DEAD_LETTER,
        Kind.EXPIRED_ENTRY,
        Kind.MISSING_FROM_LIST,
        Kind.MISSING_FROM_BATCH,
        Kind.WRONG_COUNT,
        Kind.NOT_FED,
        Kind.WRONG_END,
        Kind.TORN_RATES,
        Kind.TORN_TOTAL,
        Kind.TORN_WISH,
        Kind.ORPHAN_OBJECT,
        Kind.UNFINISHED_UPLOAD,
    }
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One inconsistency.

    Args:
        about: id of the job or batch, name of the queue or index, or key of the object.
        found: the observed state, as a sentence without its full stop.
        expected: the expected state, as the sentence's second half.
        mended: whether this check has repaired it.
        is_young: whether it is too young to be repaired now; a later check may.
        is_mendable: whether it can be repaired, though most of its kind cannot.
    """

    kind: Kind
    about: str
    found: str
    expected: str
    mended: bool = False
    is_young: bool = False
    is_mendable: bool = False

    @property
    def is_note(self) -> bool:
        """Whether it is for information only, and needs no action."""
        return self.kind in _NOTES or self.is_young

    @property
    def is_left(self) -> bool:
        """Whether it still needs a repair or a person's action."""
        return not (self.mended or self.is_note)

    @property
    def can_be_mended(self) -> bool:
        """Whether a check with `repair` would repair it."""
        is_mendable = self.is_mendable or self.kind in _MENDABLE
        return is_mendable and not (self.mended or self.is_young)

    @property
    def sentence(self) -> str:
        """`found` and `expected` as one sentence, with a mark if it was repaired."""
        return f"{self.found}; {self.expected}" + (" (mended)" if self.mended else "")

    def to_json(self) -> dict[str, Any]:
        """Return the object that `comfyfleet check --json` prints for it."""
        return {
            "kind": self.kind,
            "about": self.about,
            "found": self.found,
            "expected": self.expected,
            "note": self.is_note,
            "mended": self.mended,
        }
