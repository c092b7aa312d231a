"""Seeded bugs of what persons want of nodes, of actions, moves, brakes and names, and of copies of what jobs make."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

_LUA: Final = "producer/store/lua"

OF_OPERATIONS: Final = (
    mutant(
        "let a drained node take work",
        "drained",
        "I28",
        (
            "worker/node/agent.py",
            "self._gate.set_takes(takes=self._wishes.is_none)",
            "self._gate.set_takes(takes=True)",
        ),
    ),
    mutant(
        "tell a worker nothing of its pool",
        "pool_paused",
        "I28",
        (
            "worker/node/wishes.py",
            "wanted = (self._wanted.quarantine, self._wanted.own, self._wanted.pool)",
            "wanted = (self._wanted.quarantine, self._wanted.own, None)",
        ),
    ),
    mutant(
        "let a node take work that somebody doubts",
        "doubted",
        "I28",
        (
            "worker/node/wishes.py",
            "wanted = (self._wanted.quarantine, self._wanted.own, self._wanted.pool)",
            "wanted = (None, self._wanted.own, self._wanted.pool)",
        ),
    ),
    mutant(
        "restart a node without waiting for its jobs",
        "restarted",
        "I34",
        (
            "worker/node/prober.py",
            "if not self.must_restart or (self._waits_for_jobs and self._is_busy()):",
            "if not self.must_restart:",
        ),
    ),
    mutant(
        "pass over the last job of a turn",
        "acted",
        "I30",
        (
            "producer/upkeep/bulk_actions.py",
            "for number, job_id in enumerate(turn.jobs):",
            "for number, job_id in enumerate(turn.jobs[:-1]):",
        ),
    ),
    mutant(
        "end an action in the middle of its turn",
        "acted_in_part",
        "I30",
        (
            f"{_LUA}/action_cancel.lua",
            "if jobs and jobs ~= '' then\n    return 'stopping'\nend\n",
            "",
        ),
    ),
    mutant(
        "make a job again whatever was made of it",
        "acted_twice",
        "I30",
        (f"{_LUA}/retry.lua", "if made then\n", "if false then\n"),
        ("producer/upkeep/job_verbs.py", "if old.retried_as:", "if False:"),
    ),
    mutant(
        "leave a moved job in its old queue, too",
        "moved_aside",
        "I31",
        (
            f"{_LUA}/move.lua",
            "    redis.call('ZREM', queued_key(old_queue, old_priority), id)\n",
            "",
        ),
    ),
    mutant(
        "claim by a message of another pool",
        "moved_aside",
        "I31",
        (f"{_LUA}/claim.lua", "if own_pool and pool ~= own_pool then", "if false then"),
        (
            "producer/listing/move_methods.py",
            "            moves.drop_moved(queue, priority)\n",
            "            pass\n",
        ),
    ),
    mutant(
        "remember what a name has meant",
        "named_anew",
        "I32",
        (
            "producer/store/template_store.py",
            "            found = self._find(name, owner, most_bytes=most_bytes)\n",
            (
                "            seen = self.__dict__.setdefault('seen', {})\n"
                "            found = seen.setdefault((owner, name), self._find(name, owner))\n"
            ),
        ),
    ),
    mutant(
        "brake a batch a failure too late",
        "braked",
        "I33",
        (f"{_LUA}/_batches.lua", "or failed < most then", "or failed <= most then"),
    ),
    mutant(
        "forget the copies of a job that has succeeded",
        "copied",
        "I29",
        (
            "producer/store/lua/_endings.lua",
            "    if has_copies then\n        list_copies(id)\n    end\n",
            "",
        ),
    ),
    mutant(
        "note a copy as done that was not put",
        "copied",
        "I29",
        (
            "worker/copies/copying.py",
            "            self._put(made, copy.bucket, key, metadata=_said(job, deliver, artifact))\n",
            "",
        ),
    ),
)
