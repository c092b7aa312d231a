"""How long what Redis holds outlasts its last change, and how many of each are kept. Scripts know all of it by name."""

from __future__ import annotations

from typing import Final

from producer.contract.batches import BUCKET_ROWS as BUCKET_ROWS  # noqa: PLC0414 - scripts know it
from producer.contract.causes import NOT_OWN

#: How long a live record outlasts its start deadline, ms: it must be there to be ended.
LIVE_MS: Final = 30 * 86_400_000
#: How long what jobs share outlasts the start deadline of the last of them, ms: twice the margin of
#: a record, as it must be there for its last attempt.
SHARED_MS: Final = 2 * LIVE_MS
#: How long an index stays after its last change, ms.
INDEX_MS: Final = 60 * 86_400_000
#: How long an open batch waits for its next rows, or its seal, ms; and how many one owner may have.
OPEN_MS: Final = 7 * 86_400_000
MOST_OPEN: Final = 100
#: Entries of the event stream; Redis trims it in whole nodes, so a few more.
EVENTS_KEPT: Final = 100_000
#: Entries of the stream of actions, as of that of events.
ACTIONS_KEPT: Final = 20_000
#: Entries that an actor who does not run the fleet may write within a minute.
MOST_LOGGED: Final = 60
#: How long an action that has ended is kept, ms; how many of an owner are listed, and may wait or run.
ACTION_KEPT_MS: Final = 30 * 86_400_000
ACTIONS_LISTED: Final = 100
MOST_ACTIONS: Final = 10
#: How long a reader's word that somebody watches holds, ms; it says so three times as often.
WATCHED_MS: Final = 15_000
#: How long a word that somebody watches previews of a job holds, and how long a preview is kept, ms.
PREVIEW_MS: Final = 15_000
#: How long the record of a job stays at least of which copies are made, ms: longer than they are tried.
COPIES_KEPT_MS: Final = 7 * 86_400_000
#: Settled deliveries of a webhook that are kept, and how long, ms.
DELIVERIES_KEPT: Final = 1_000
DELIVERY_KEPT_MS: Final = 30 * 86_400_000
#: How long an upload is remembered after it was last named, ms.
UPLOAD_KEPT_MS: Final = 30 * 86_400_000
#: How long rates stay after the last render of their shape, ms.
RATES_MS: Final = 30 * 86_400_000
#: Shapes that have rates; one takes about 400 bytes, with few devices.
SHAPES_KEPT: Final = 20_000
#: Devices of one shape that have rates, and renders after which older ones of a device count half.
DEVICES_KEPT: Final = 32
RENDERS_KEPT: Final = 64
#: Classes and models of a device whose seconds are kept; one takes about 60 bytes.
SECONDS_KEPT: Final = 2_000
#: Counters of all pools together; one takes about 50 bytes, a busy pool has some 150.
TOTALS_KEPT: Final = 20_000
#: A bucket of durations is so many times the one before it: 2 ** (1 / 4).
BUCKETS_AN_OCTAVE: Final = 4

#: Causes of failures that brake no batch, each between blanks.
NOT_OWN_FAULTS: Final = f" {' '.join(NOT_OWN)} "

#: Rows whose results are one object in the bucket.
RESULT_ROWS: Final = 1_000
