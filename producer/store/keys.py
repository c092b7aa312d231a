"""Redis keys: each with its type and its life, see also `limits.py`. One database holds broker and records.

| key | type | life |
| --- | --- | --- |
| comfyfleet:nodes | zset node -> last beat, ms | for ever, small |
| comfyfleet:leases | zset job -> deadline, ms | for ever; running jobs only |
| comfyfleet:queues | hash queue -> Needs as JSON | for ever, small: an unused queue is retired |
| comfyfleet:events | stream | for ever, about 100,000 entries |
| comfyfleet:dead | zset job -> ended, ms | for ever |
| comfyfleet:owners:limits | hash owner -> most jobs that it may have waiting | for ever, small |
| comfyfleet:totals | hash counter, see `totals.py` -> number that only rises | for ever; about 20,000 counters |
| comfyfleet:recovered | hash `<pool> <kind>`, see `Recovery` -> number of jobs, only rises | for ever; about 20,000 counters |
| comfyfleet:desired | hash node -> what a person wants of it, JSON | for ever, small |
| comfyfleet:quarantined | hash node -> that a person has set it aside, JSON | for ever, small |
| comfyfleet:pools | hash pool -> what a person wants of it, JSON | for ever, small |
| comfyfleet:actions | stream: who has done what | for ever, about 20,000 entries |
| comfyfleet:action:<id> | hash: an action on many jobs, and how far upkeep is with it | not ended: 60 days after its last turn; ended: 30 days |
| comfyfleet:actions:often | hash actor that does not run the fleet -> since when, ms, how many entries, and how many more that were not written | 24 hours after the last entry of one |
| comfyfleet:actions:waiting | zset action that has not ended -> its last turn, ms | 60 days after its last action |
| comfyfleet:actions:asked | zset action -> asked for, ms; those of the last 90 days | 90 days after the last one |
| comfyfleet:actions:asked:<owner> | zset action of an owner -> asked for, ms; the last 100 | 90 days after the last one |
| comfyfleet:keys | hash SHA-256 of an access key -> whose it is and what it allows, JSON | for ever, small |
| comfyfleet:webhooks | hash `owner:name` -> webhook, JSON | for ever, small |
| comfyfleet:webhooks:secrets | hash `owner:name` -> what its messages are signed with, JSON | for ever, small |
| comfyfleet:webhooks:failing | hash `owner:name` -> tries that failed since the last success | for ever, small |
| comfyfleet:templates | hash owner -> how many named graphs it has | for ever, small |
| comfyfleet:templates:<owner> | hash name -> a named graph without the graph, JSON; 200 at most | for ever, small |
| comfyfleet:templates:<owner>:graphs | hash name -> zlib of the graph's canonical JSON, name:extra_data -> of what goes beside it | for ever; 16 MB at most |
| comfyfleet:queues:used | zset queue -> when a job last came to it, ms | 60 days after its last job |
| comfyfleet:queues:needed | zset queue -> until when a record may name it, ms | as its last entry |
| comfyfleet:queues:retired | hash queue -> Needs as JSON | as its last entry is needed |
| comfyfleet:queued:<queue>:<priority> | zset job -> sent, ms | 60 days after its last job |
| comfyfleet:delayed | zset job -> when upkeep must look at it, ms | 60 days after its last job |
| comfyfleet:jobs | zset job that was submitted singly, without an owner -> 0 | as its longest-lived record |
| comfyfleet:jobs:<owner> | the same of an owner's jobs | as its longest-lived record |
| comfyfleet:owners | zset owner that such jobs have -> 0 | as its longest-lived record |
| comfyfleet:owner:<owner> | hash: what an owner has waiting and running, ms of cards used | 60 days after its last job |
| comfyfleet:ended:<status> | zset job that failed, was cancelled or expired -> ended, ms | as its longest-lived record |
| comfyfleet:ended:<status>:batches | zset batch whose rows ended so before they had a record -> ended, ms | as long as their values are kept |
| comfyfleet:unpacked | zset job whose record is to be packed -> ended, ms | 60 days after its last job |
| comfyfleet:job:<id> | hash, packed an hour after its end | live: 30 days after its start deadline; ended: keep_ended_s |
| comfyfleet:template:<sha256> | zlib of the graph's canonical JSON | as long as its longest-lived job |
| comfyfleet:extra_data:<sha256> | zlib of canonical JSON: what goes beside the graph | as a template |
| comfyfleet:secrets:<job or batch> | JSON: keys and tokens of its `extra_data` | until the job, or the batch, ends |
| comfyfleet:batch:<id> | hash: what its rows share, counts | open: 7 days; else 60 days after its last change |
| comfyfleet:batch:<id>:rows | hash bucket -> zlib of 100 rows not fed yet | as its batch; ended with it: keep_ended_s |
| comfyfleet:batch:<id>:request | zlib of the JSON that an open batch was begun with, secrets too; or of its template's graph alone | 7 days after its last part; until it is sealed |
| comfyfleet:batch:<id>:ended | hash bucket -> up to 100 ended rows, packed; bucket:again -> JSON of row -> its retry | as its batch |
| comfyfleet:unpacked:rows | zset `batch:bucket` of ended rows to be packed -> last end, ms | 60 days after the last end |
| comfyfleet:results | zset batch whose results are to be written to the bucket -> since, ms | 60 days after its last batch |
| comfyfleet:outbox | zset `job:<id>` or `batch:<id>` whose end is to be told outside, `event:<type>:<id>` of what was before, `event:<type>:<JSON>` of a node -> due, ms | as its longest-lived record |
| comfyfleet:copies | zset succeeded job of which copies are to be made -> when that is due, ms | 60 days after its last job |
| comfyfleet:deliveries | zset `owner:name` of a webhook -> when a delivery to it is due, ms | 60 days after its last delivery |
| comfyfleet:deliveries:<owner:name> | zset delivery -> due, ms | 60 days after its last delivery |
| comfyfleet:deliveries:<owner:name>:settled | zset delivery that is delivered or given up -> since, ms; 1,000 at most | 60 days after its last delivery |
| comfyfleet:delivering | zset `owner:name delivery` that a sender is busy with -> until, ms | minutes |
| comfyfleet:delivery:<owner:name>:<id> | hash | waiting: 60 days; settled: 30 days |
| comfyfleet:upload:<owner>:<sha256> | JSON: what an owner calls a file of this content | 30 days after it was last handed in or named |
| comfyfleet:live:<batch> | zset job that has not ended -> since, ms | 60 days after its last job |
| comfyfleet:batches | zset batch -> opened, ms | 60 days after the last one |
| comfyfleet:batches:<owner> | zset batch of an owner -> opened, ms | 60 days after the last one |
| comfyfleet:batches:open:<owner> | zset batch of an owner that takes rows, or did -> opened, ms; 100 at most | 7 days after the last part |
| comfyfleet:feeding | zset batch that upkeep must look at -> its turn | 60 days after its last batch |
| comfyfleet:waiting | number of rows not fed yet, of all sealed batches | 60 days after its last change |
| comfyfleet:node:<name> | hash | 7 days after its last beat |
| comfyfleet:idle:<pool> | zset idle node -> said, ms | a lease after its last word |
| comfyfleet:rates:<shape> | hash device -> renders by duration, see `rates.py` | 30 days after its last render |
| comfyfleet:shape_seconds:<shape> | hash device -> ms of each graph node, see `node_seconds.py` | 30 days after its last change |
| comfyfleet:seconds:<device> | hash `step <class>` and `load <class> <model>` -> ms, see `node_seconds.py` | 30 days after its last change |
| comfyfleet:shapes | zset shape that has rates -> since, ms; 20,000 at most | 60 days after the last new one |
| comfyfleet:idempotency:<length of owner>:<owner>:<key> | string `job fingerprint` | as its job's or batch's record |
| comfyfleet:requests:<sha256> | string: until when an access key has used up its rate, ms | seconds |
| comfyfleet:watched | string: somebody reads the events | 15 s after a reader said so |
| comfyfleet:preview:<job> | hash: the newest preview of a job that runs, while somebody watches previews of it | 15 s after it was written |
| comfyfleet:lock:<what> | string | seconds |

"60 days" is never less than the longest-lived job that the index lists: one may be held for years.
"""

from __future__ import annotations

from typing import Final

NODES: Final = "comfyfleet:nodes"
LEASES: Final = "comfyfleet:leases"
QUEUES: Final = "comfyfleet:queues"
QUEUES_USED: Final = "comfyfleet:queues:used"
QUEUES_NEEDED: Final = "comfyfleet:queues:needed"
QUEUES_RETIRED: Final = "comfyfleet:queues:retired"
EVENTS: Final = "comfyfleet:events"
DEAD: Final = "comfyfleet:dead"
DELAYED: Final = "comfyfleet:delayed"
JOBS: Final = "comfyfleet:jobs"
OWNERS: Final = "comfyfleet:owners"
OWNER_LIMITS: Final = "comfyfleet:owners:limits"
UNPACKED: Final = "comfyfleet:unpacked"
UNPACKED_ROWS: Final = "comfyfleet:unpacked:rows"
RESULTS: Final = "comfyfleet:results"
OUTBOX: Final = "comfyfleet:outbox"
COPIES: Final = "comfyfleet:copies"
WEBHOOKS: Final = "comfyfleet:webhooks"
WEBHOOK_SECRETS: Final = "comfyfleet:webhooks:secrets"
WEBHOOKS_FAILING: Final = "comfyfleet:webhooks:failing"
TEMPLATES: Final = "comfyfleet:templates"
DELIVERIES: Final = "comfyfleet:deliveries"
DELIVERING: Final = "comfyfleet:delivering"
DESIRED: Final = "comfyfleet:desired"
QUARANTINED: Final = "comfyfleet:quarantined"
POOLS: Final = "comfyfleet:pools"
ACCESS_KEYS: Final = "comfyfleet:keys"
ACTIONS: Final = "comfyfleet:actions"
ACTIONS_OFTEN: Final = "comfyfleet:actions:often"
ACTIONS_WAITING: Final = "comfyfleet:actions:waiting"
ACTIONS_ASKED: Final = "comfyfleet:actions:asked"
BATCHES: Final = "comfyfleet:batches"
OPEN_BATCHES: Final = "comfyfleet:batches:open:"
FEEDING: Final = "comfyfleet:feeding"
WAITING: Final = "comfyfleet:waiting"
SHAPES: Final = "comfyfleet:shapes"
TOTALS: Final = "comfyfleet:totals"
#: Apart from the totals: the version before takes these for damaged counters of its own.
RECOVERED: Final = "comfyfleet:recovered"
WATCHED: Final = "comfyfleet:watched"
#: A channel, not a key; see `Call`. Who misses a call hears of it with the next beat, or outlook.
CALLS: Final = "comfyfleet:calls"

ACTION: Final = "comfyfleet:action:"
JOB: Final = "comfyfleet:job:"
QUEUED: Final = "comfyfleet:queued:"
OWNER: Final = "comfyfleet:owner:"
ENDED: Final = "comfyfleet:ended:"
BATCH: Final = "comfyfleet:batch:"
LIVE: Final = "comfyfleet:live:"
IDEMPOTENCY: Final = "comfyfleet:idempotency:"
NODE: Final = "comfyfleet:node:"
IDLE: Final = "comfyfleet:idle:"
DELIVERY: Final = "comfyfleet:delivery:"
SECRETS: Final = "comfyfleet:secrets:"
REQUESTS: Final = "comfyfleet:requests:"
RATES: Final = "comfyfleet:rates:"
SECONDS: Final = "comfyfleet:seconds:"
PREVIEW: Final = "comfyfleet:preview:"
SHAPE_SECONDS: Final = "comfyfleet:shape_seconds:"

#: kombu's separator between a queue's name and its priority; priority 0 has no suffix.
_KOMBU_SEPARATOR: Final = "\x06\x16"
#: Where kombu notes who is bound to an exchange; each queue has an exchange of its name.
KOMBU_BINDINGS: Final = "_kombu.binding."


def job(job_id: str) -> str:
    """Return the key of a job's record."""
    return f"{JOB}{job_id}"


def jobs(owner: str) -> str:
    """Return the key of the jobs of an owner that were submitted singly; '' is the default owner."""
    return f"{JOBS}:{owner}" if owner else JOBS


def owner(name: str) -> str:
    """Return the key of what an owner has and has used; the default owner has none."""
    return f"{OWNER}{name}"


def ended(status: str) -> str:
    """Return the key of the jobs that have ended with a status, which is not `succeeded`."""
    return f"{ENDED}{status}"


def action(action_id: str) -> str:
    """Return the key of an action on many jobs."""
    return f"{ACTION}{action_id}"


def actions_asked(owner: str) -> str:
    """Return the key of the actions of an owner; '' is the default owner."""
    return f"{ACTIONS_ASKED}:{owner}"


def template(sha256: str) -> str:
    """Return the key of a template."""
    return f"comfyfleet:template:{sha256}"


def templates(owner: str) -> str:
    """Return the key of what an owner's named graphs are; an owner's name holds no colon."""
    return f"{TEMPLATES}:{owner}"


def named_graphs(owner: str) -> str:
    """Return the key of the graphs themselves."""
    return f"{TEMPLATES}:{owner}:graphs"


def extra_data(sha256: str) -> str:
    """Return the key of what goes to nodes beside graphs."""
    return f"comfyfleet:extra_data:{sha256}"


def secrets(holder: str) -> str:
    """Return the key of the secrets of a job, or of a batch."""
    return f"{SECRETS}{holder}"


def batch(batch_id: str) -> str:
    """Return the key of what a batch's jobs share, and of its counts."""
    return f"{BATCH}{batch_id}"


def rows(batch_id: str) -> str:
    """Return the key of a batch's rows that have no record yet."""
    return f"{BATCH}{batch_id}:rows"


def batch_request(batch_id: str) -> str:
    """Return the key of what an open batch was begun with."""
    return f"{BATCH}{batch_id}:request"


def ended_rows(batch_id: str) -> str:
    """Return the key of a batch's ended rows whose records are packed."""
    return f"{BATCH}{batch_id}:ended"


def live(batch_id: str) -> str:
    """Return the key of a batch's jobs that have a record and have not ended."""
    return f"{LIVE}{batch_id}"


def node(name: str) -> str:
    """Return the key of a node's record."""
    return f"{NODE}{name}"


def idle(pool: str) -> str:
    """Return the key of the nodes of a pool that wait for work."""
    return f"{IDLE}{pool}"


def deliveries(webhook: str) -> str:
    """Return the key of the deliveries to a webhook, `owner:name`, that are not settled."""
    return f"{DELIVERIES}:{webhook}"


def settled_deliveries(webhook: str) -> str:
    """Return the key of those that are."""
    return f"{DELIVERIES}:{webhook}:settled"


def delivery(webhook: str, delivery_id: str) -> str:
    """Return the key of one delivery."""
    return f"{DELIVERY}{webhook}:{delivery_id}"


def upload(owner: str, sha256: str) -> str:
    """Return the key of an owner's upload; an owner's name holds no colon."""
    return f"comfyfleet:upload:{owner}:{sha256}"


def rates(shape: str) -> str:
    """Return the key of how long renders of a shape take."""
    return f"{RATES}{shape}"


def shape_seconds(shape: str) -> str:
    """Return the key of how long the graph nodes of a shape take."""
    return f"{SHAPE_SECONDS}{shape}"


def seconds(device: str) -> str:
    """Return the key of how long classes and loads of models take on a device."""
    return f"{SECONDS}{device}"


def idempotency(owner: str, key: str) -> str:
    """Return the key that remembers which job an idempotency key made."""
    # Both may hold colons; without the length, one tenant would be handed another one's job.
    return f"{IDEMPOTENCY}{len(owner)}:{owner}:{key}"


def preview(job_id: str) -> str:
    """Return the key of the newest preview of a job."""
    return f"{PREVIEW}{job_id}"


def lock(what: str) -> str:
    """Return the key of a short lock."""
    return f"comfyfleet:lock:{what}"


def queued(queue: str, priority: int) -> str:
    """Return the key of the jobs whose messages should lie in `message_list` of the same."""
    return f"{QUEUED}{queue}:{priority}"


def message_list(queue: str, priority: int) -> str:
    """Return the list in which kombu keeps the messages of a queue at a priority."""
    return f"{queue}{_KOMBU_SEPARATOR}{priority}" if priority else queue
