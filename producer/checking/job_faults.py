"""Job faults: what a check says of a record that an index disagrees with, by `mend_job.lua`'s word."""

from __future__ import annotations

from typing import Final

from producer.checking.findings import Kind

#: Of those below, the ones that a person or upkeep has to end.
NEVER_MENDED: Final = frozenset({Kind.LAPSED_LEASE, Kind.UNREADABLE_RECORD})

FAULTS: Final = {
    "lease": (Kind.MISSING_LEASE, "runs without a lease", "it should have one, to be taken over"),
    "lapsed": (
        Kind.LAPSED_LEASE,
        "runs with a lease that ran out {seconds:.0f} s ago",
        "a worker should have taken it over: every worker runs upkeep, is one alive?",
    ),
    "queue": (
        Kind.MISSING_FROM_QUEUE,
        "is queued, but in no index",
        "its queue should list it, so that a lost message is noticed",
    ),
    "delay": (
        Kind.MISSING_DELAY,
        "waits out a delay that nobody will end",
        "comfyfleet:delayed should list it for {time}",
    ),
    "start_deadline": (
        Kind.MISSING_START_DEADLINE,
        "is queued, but nobody will end it at its start deadline",
        "comfyfleet:delayed should list it for {time}",
    ),
    "listed": (
        Kind.MISSING_FROM_LIST,
        "is not listed among the jobs of its owner",
        "it should be, to be found",
    ),
    "ended": (
        Kind.MISSING_FROM_LIST,
        "has ended without success, and is not listed so",
        "it should be, to be found",
    ),
    "unpacked": (
        Kind.NOT_PACKED,
        "has ended, and nobody will pack its record",
        "upkeep should know of it; a worker of an older version ended it",
    ),
    "untold": (
        Kind.NOT_TOLD,
        "has ended, and nobody will tell it outside",
        "comfyfleet:outbox should list it; a worker of an older version ended it",
    ),
    "uncopied": (
        Kind.NOT_COPIED,
        "has succeeded, and nobody will make the copies that it asks for",
        "comfyfleet:copies should list it",
    ),
    "live": (
        Kind.MISSING_FROM_BATCH,
        "is not listed among the live jobs of its batch",
        "it should be, or a cancel of the batch would pass it over",
    ),
    "odd": (
        Kind.UNREADABLE_RECORD,
        "cannot be compared with its indexes: one is a key of another type, or a time in its record no number",
        "delete such a key, which is named below, and run check --repair; else delete the record",
    ),
}
