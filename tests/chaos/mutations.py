"""The seeded bugs themselves: which lines become which, and what must notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Edit:
    """Some text of one file that stands there once, and what it becomes."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A bug: its edits, the scenario that meets it and the invariant that it breaks there."""

    name: str
    scenario: str
    invariant: str
    edits: tuple[Edit, ...]


def _mutant(name: str, scenario: str, invariant: str, *edits: tuple[str, str, str]) -> Mutant:
    return Mutant(name, scenario, invariant, tuple(Edit(*edit) for edit in edits))


_LUA: Final = "producer/store/lua"
_MANIFEST: Final = (
    "        self.patience.until_served(lambda: self.objects.put_json(key, manifest), lease)\n"
)

MUTANTS: Final = (
    _mutant(
        "skip the fence at the commit",
        "late_commit",
        "I4",
        (f"{_LUA}/finish.lua", "elseif not holds(job, ARGV[2], ARGV[3]) then", "elseif false then"),
    ),
    _mutant(
        "commit before the manifest is stored",
        "dies_at_the_manifest",
        "I4",
        ("worker/delivery.py", _MANIFEST, ""),
        (
            "worker/delivery.py",
            '        crashpoint("commit.done")\n',
            f'        crashpoint("commit.done")\n{_MANIFEST}',
        ),
    ),
    _mutant(
        "publish before the record",
        "one_by_one",
        "I20",
        (
            "producer/client.py",
            "        job_id, is_new = self._jobs.add(submission, graph=template)\n",
            (
                "        self._wake(submission.id, queue=submission.queue,"
                " priority=submission.tier.priority)\n"
                "        import time; time.sleep(0.2)\n"
                "        job_id, is_new = self._jobs.add(submission, graph=template)\n"
                "        is_new = False\n"
            ),
        ),
    ),
    _mutant(
        "leases by the worker's clock",
        "skewed",
        "I11",
        (
            "producer/store/node_store.py",
            "            args=[name, worker, self._lease_ms, _KEEP_MS, *held],\n",
            (
                "            args=[name, worker, int(__import__('time').time() * 1000)"
                " + self._lease_ms, _KEEP_MS, *held],\n"
            ),
        ),
        (
            f"{_LUA}/renew.lua",
            "redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[3]), id)",
            "redis.call('ZADD', LEASES, tonumber(ARGV[3]), id)",
        ),
    ),
    _mutant(
        "take over without an interrupt",
        "worker_gone",
        "I10",
        ("producer/upkeep.py", "        self._interrupt(job)\n", ""),
    ),
    _mutant(
        "trust the socket alone",
        "deaf",
        "I2",
        (
            "worker/render.py",
            'if look.ended or look.is_due("history", _POLL_EVERY_S):',
            "if look.ended:",
        ),
    ),
    _mutant(
        "no check of what was fetched",
        "flipped",
        "I5",
        (
            "worker/comfyui/formats/png.py",
            "def _check_crc(kind: bytes, computed: int, written: bytes) -> None:\n",
            "def _check_crc(kind: bytes, computed: int, written: bytes) -> None:\n    return\n",
        ),
        (
            "worker/comfyui/formats/png.py",
            '        if kind == b"IDAT":\n            into_pixels(piece)\n',
            "",
        ),
        ("worker/comfyui/formats/png.py", "    pixels.finish()\n", ""),
    ),
    _mutant(
        "claim whatever the attempt",
        "stale_message",
        "I10",
        (
            f"{_LUA}/claim.lua",
            "if status ~= 'queued' or attempt ~= ARGV[2] then",
            "if status ~= 'queued' then",
        ),
    ),
    _mutant(
        "requeue as the same attempt",
        "plain",
        "I9",
        (
            f"{_LUA}/requeue.lua",
            "local next_attempt = redis.call('HINCRBY', job, 'attempt', 1)",
            "local next_attempt = redis.call('HINCRBY', job, 'attempt', 0)",
        ),
    ),
    _mutant(
        "never send a message again",
        "lost_message",
        "I2",
        (
            "producer/upkeep.py",
            (
                "        self._send_all(self._sweeps.unsent("
                "self._sweeps.queues(), sightings_apart=SIGHTINGS_APART))\n"
            ),
            "",
        ),
    ),
    _mutant(
        "commit although a cancel came first",
        "late_cancel",
        "P8",
        (
            f"{_LUA}/finish.lua",
            "if target == 'succeeded' and redis.call('HGET', job, 'cancel') then",
            "if false then",
        ),
    ),
    _mutant(
        "post again without a look at the history",
        "dies_at_the_fetch",
        "I10",
        (
            "worker/render.py",
            "return self._watched(job, graph, lease, slot, posted_s=ran_for.total_seconds())",
            "return self._watched(job, graph, lease, slot, posted_s=0.0)",
        ),
    ),
    _mutant(
        "store every attempt under the first one's key",
        "node_gone",
        "I4",
        (
            "worker/delivery.py",
            "            attempt=job.attempt,\n            graph_node=output.graph_node,",
            "            attempt=1,\n            graph_node=output.graph_node,",
        ),
    ),
    _mutant(
        "charge a job for its node",
        "node_gone",
        "I11",
        (
            "worker/retry.py",
            '"execution_error", "out_of_memory", "incomplete_output"}',
            '"execution_error", "out_of_memory", "incomplete_output", "prompt_lost"}',
        ),
    ),
    _mutant(
        "count only what begins",
        "plain",
        "I12",
        (
            f"{_LUA}/_prelude.lua",
            "    set_status(job, status)\n    redis.call('PEXPIRE', job, keep_ms)",
            "    redis.call('HSET', job, 'status', status)\n    redis.call('PEXPIRE', job, keep_ms)",
        ),
    ),
    _mutant(
        "a gate that is always open",
        "many_at_once",
        "I13",
        (
            "worker/lookahead.py",
            "return not self._slots or (now < self._waits_until and self._looks_ahead(now))",
            "return True",
        ),
    ),
    _mutant(
        "forget the idempotency key",
        "asked_twice",
        "I14",
        (
            f"{_LUA}/submit.lua",
            "if KEYS[2] ~= '' then\n    local before",
            "if false then\n    local before",
        ),
    ),
    _mutant(
        "let two jobs share their file names",
        "twins",
        "I7",
        (
            "worker/runner.py",
            'return with_file_prefixes(graph, f"comfyfleet/{job.id}-{job.attempt}")',
            "return graph",
        ),
    ),
    _mutant(
        "leave what was spooled",
        "plain",
        "I18",
        (
            "worker/runner.py",
            "            shutil.rmtree(folder, ignore_errors=True)\n",
            "            pass\n",
        ),
        ("worker/delivery.py", "        file.path.unlink()\n", ""),
    ),
    _mutant(
        "an event without its number",
        "plain",
        "I8",
        (
            f"{_LUA}/_prelude.lua",
            "local n = redis.call('HINCRBY', job, 'n', 1)",
            "local n = redis.call('HINCRBY', job, 'n', type == 'phase' and 0 or 1)",
        ),
    ),
)
