"""Seeded bugs of what becomes of ended jobs: lists, owners' counts, packing, the outbox, results; and of moves."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

_LUA: Final = "producer/store/lua"

OF_RECORDS: Final = (
    mutant(
        "list no job that is made again",
        "kept",
        "I21",
        (f"{_LUA}/retry.lua", "list_job(new, id)\n", ""),
    ),
    mutant(
        "list the jobs of a batch with the single ones",
        "kept",
        "I21",
        (
            f"{_LUA}/submit.lua",
            "if not batch then\n    list_single",
            "if true then\n    list_single",
        ),
    ),
    mutant(
        "list only what failed among the bad ends",
        "kept",
        "I21",
        (
            f"{_LUA}/_jobs.lua",
            "    if status ~= 'succeeded' then\n",
            "    if status == 'failed' then\n",
        ),
    ),
    mutant(
        "list no rows that end with their batch before they have a record",
        "rows_cancelled",
        "I21",
        (
            f"{_LUA}/_batches.lua",
            "        redis.call('ZADD', ENDED .. status .. ':batches', now_ms(), batch)\n",
            "",
        ),
    ),
    mutant(
        "count an owner's job for ever",
        "kept",
        "I22",
        (
            f"{_LUA}/_jobs.lua",
            "count_owner(owner, was, was and -1 or 0)",
            "count_owner(owner, was, 0)",
        ),
    ),
    mutant(
        "charge an owner with its last attempts only",
        "kept",
        "I22",
        (
            f"{_LUA}/requeue.lua",
            "    rendered_ms = charge_owner(owner, rendering, fetching),\n",
            "",
        ),
    ),
    mutant(
        "count the end of a job in no total",
        "kept",
        "I26",
        (
            f"{_LUA}/_endings.lua",
            "    count_ended(pool_of(known.queue), status, cause, 1, totals)\n",
            "",
        ),
    ),
    mutant(
        "count an attempt that is made again in no total",
        "kept",
        "I26",
        (
            f"{_LUA}/requeue.lua",
            "    ['attempt ' .. cause .. ' ' .. (ARGV[4] ~= '' and ARGV[4] or 'uncounted')] = 1,\n",
            "",
        ),
    ),
    mutant(
        "forget in a packed record who wants to hear of its end",
        "kept",
        "I23",
        ("producer/store/packed_records.py", '    *("hook", "told_ms"),\n', '    *("told_ms",),\n'),
        (
            "producer/store/packed_records.py",
            '_DROPPED: Final = frozenset({"claim",',
            '_DROPPED: Final = frozenset({"hook", "claim",',
        ),
    ),
    mutant(
        "forget in a packed record what its first attempt met",
        "kept",
        "I23",
        (
            "producer/store/packed_records.py",
            '_DROPPED: Final = frozenset({"claim",',
            '_DROPPED: Final = frozenset({"attempt:1", "claim",',
        ),
    ),
    mutant(
        "keep the record of a row that is packed",
        "rows_kept",
        "I23",
        (f"{_LUA}/pack_rows.lua", "    redis.call('DEL', unpack(records))\n", ""),
    ),
    mutant(
        "pack rows in place of those that are packed",
        "rows_kept",
        "I1",
        (
            "producer/store/row_packing.py",
            "pack_ended({**old, **records}, known.id_of)",
            "pack_ended(records, known.id_of)",
        ),
    ),
    mutant(
        "remember one row of a bucket that was made again",
        "rows_kept",
        "I12",
        (
            f"{_LUA}/_endings.lua",
            "local made = made_again_of(redis.call('HGET', key, bucket .. ':again')) or {}",
            "local made = {}",
        ),
    ),
    mutant(
        "never write the results of what was made again",
        "rows_kept",
        "I25",
        (f"{_LUA}/retry.lua", "        note_results(row, count)\n", ""),
    ),
    mutant(
        "note results as written that the bucket refused",
        "bucket_away",
        "I25",
        (
            "producer/upkeep/results_writer.py",
            "            self._objects.put_results(batch, file.number, self._lines(file))\n",
            (
                "            try:\n"
                "                self._objects.put_results(batch, file.number, self._lines(file))\n"
                "            except StorageError:\n"
                "                pass\n"
            ),
        ),
    ),
    mutant(
        "end what waits without a word to who asked for it",
        "kept",
        "I24",
        (
            f"{_LUA}/_endings.lua",
            "    if known.hook then\n",
            "    if known.hook and known.status == 'running' then\n",
        ),
    ),
    mutant(
        "leave in the outbox what is told",
        "kept",
        "I24",
        (f"{_LUA}/_outbox.lua", "    redis.call('ZREM', OUTBOX, subject)\n", ""),
    ),
    mutant(
        "count a batch as told that has ended anew",
        "rows_kept",
        "I24",
        (
            f"{_LUA}/_batches.lua",
            "                put_outbox('batch:' .. batch, now_ms() + INDEX_MS)\n",
            "                if redis.call('HGET', key, 'n') == '2' then put_outbox('batch:' .. batch, now_ms() + INDEX_MS) end\n",
        ),
    ),
    mutant(
        "move a job, but not what its record says",
        "moved",
        "I23",
        (
            f"{_LUA}/move.lua",
            "redis.call('HSET', job, 'spec', spec, 'queue', queue, 'priority', priority)",
            "redis.call('HSET', job, 'queue', queue, 'priority', priority)",
        ),
    ),
    mutant(
        "move a job without a word",
        "moved",
        "I23",
        (f"{_LUA}/move.lua", "    emit(job, id, 'moved')\n", ""),
    ),
)
