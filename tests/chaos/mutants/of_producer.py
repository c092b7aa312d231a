"""Seeded bugs of what both sides share: the scripts in Redis, upkeep and the library."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

_LUA: Final = "producer/store/lua"

OF_PRODUCER: Final = (
    mutant(
        "skip the fence at the commit",
        "late_commit",
        "I4",
        (
            f"{_LUA}/finish.lua",
            (
                "elseif known.attempt ~= ARGV[2] or known.worker ~= ARGV[3] then\n    return 'lost'\n"
                "elseif known.status ~= 'running' then"
            ),
            "elseif false then",
        ),
    ),
    mutant(
        "publish before the record",
        "one_by_one",
        "I20",
        (
            "producer/submit_methods.py",
            "        written = map(self._dispatch.written, messages)\n",
            (
                "        self._dispatch.try_send_all(messages)\n"
                "        import time; time.sleep(0.2)\n"
                '        written = [""] * len(messages)\n'
            ),
        ),
    ),
    mutant(
        "leases by the worker's clock",
        "skewed",
        "I11",
        (
            "producer/store/node_store.py",
            '            args=[name, worker, self._lease_ms, _KEEP_MS, idle_in or "", done, *held],\n',
            (
                "            args=[name, worker, int(__import__('time').time() * 1000)"
                ' + self._lease_ms, _KEEP_MS, idle_in or "", done, *held],\n'
            ),
        ),
        (
            f"{_LUA}/renew.lua",
            "redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[3]), id)",
            "redis.call('ZADD', LEASES, tonumber(ARGV[3]), id)",
        ),
        (  # or upkeep would see that they are renewed all the same
            "producer/upkeep/lapse_evidence.py",
            "ends_ms <= now_ms and now - since >= self._unrenewed_s:",
            "ends_ms <= now_ms:",
        ),
    ),
    mutant(
        "take over without an interrupt",
        "worker_gone",
        "I10",
        ("producer/upkeep/sweeper.py", "        self._interrupt(job)\n", ""),
    ),
    mutant(
        "claim whatever the attempt",
        "stale_message",
        "I10",
        (
            f"{_LUA}/claim.lua",
            "if status ~= 'queued' or record.attempt ~= ARGV[2] then",
            "if status ~= 'queued' then",
        ),
    ),
    mutant(
        "requeue as the same attempt",
        "plain",
        "I9",
        (
            f"{_LUA}/requeue.lua",
            "local next_attempt = redis.call('HINCRBY', job, 'attempt', 1)",
            "local next_attempt = redis.call('HINCRBY', job, 'attempt', 0)",
        ),
    ),
    mutant(
        "never send a message again",
        "lost_message",
        "I2",
        (
            "producer/upkeep/sweeper.py",
            (
                "        self._send_all(self._sweeps.unsent("
                "queues, sightings_apart=self._sightings_apart))\n"
            ),
            "",
        ),
    ),
    mutant(
        "commit although a cancel came first",
        "late_cancel",
        "P8",
        (
            f"{_LUA}/finish.lua",
            "if target == 'succeeded' and known.cancel then",
            "if false then",
        ),
    ),
    mutant(
        "count only what begins",
        "plain",
        "I12",
        (
            f"{_LUA}/_endings.lua",
            "    count_status(job, status, known.status, batch, owner)\n    count_ended(",
            "    count_ended(",
        ),
    ),
    mutant(
        "forget the idempotency key",
        "asked_twice",
        "I14",
        (
            f"{_LUA}/submit.lua",
            "if KEYS[2] ~= '' then\n    expect_type",
            "if false then\n    expect_type",
        ),
    ),
    mutant(
        "write down a node's words as they come",
        "odd_words",
        "I11",
        (
            "producer/contract/text_cleaning.py",
            'return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()',
            "return text",
        ),
        (
            "producer/contract/text_cleaning.py",
            "    if text.isprintable():\n        return text\n",
            "    return text\n",
        ),
    ),
    mutant(
        "let a parser's own error reach the caller",
        "too_deep",
        "P9",
        (
            "producer/contract/graph/graph_texts.py",
            'is no JSON document: {exc}", field=FIELD) from exc\n    except RecursionError as exc:',
            'is no JSON document: {exc}", field=FIELD) from exc\n    except ZeroDivisionError as exc:',
        ),
    ),
    mutant(
        "an event without its number",
        "plain",
        "I8",
        (
            f"{_LUA}/_events.lua",
            "    known.n = next_n(known.n)\n    known.phase",
            "    known.n = tonumber(known.n)\n    known.phase",
        ),
    ),
)
