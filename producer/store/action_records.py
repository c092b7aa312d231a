"""Actions on many jobs that upkeep carries out: what was asked for, and how far it is.

Each write names how often the record had been written when it was read, so of two processes that carry out the same
turn only one is heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import ActionNotFound, TooManyActions
from producer.contract.filters.query import Filter
from producer.contract.graph.json_values import printable
from producer.contract.ids import JobId
from producer.contract.outcomes import ActionRecord, ActionState, Refusal
from producer.contract.text_cleaning import abridged, escaped
from producer.store import keys, limits
from producer.store.action_turns import FILTERS, VERSION, Turn, record_of, turn_of
from producer.store.actions import Entry, log_fields
from producer.store.connection import replies_of, translated
from producer.store.record_reader import in_pages
from producer.store.records import flat
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis

#: Refusals that are kept, and characters of one, and of why an action failed.
_TOLD: Final = 5
_LONGEST: Final = 500
_LONGEST_FILTER: Final = 4_000
_AT_ONCE: Final = 500


class ActionRecords:
    """Keeps the records of actions on many jobs.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def add(
        self,
        record: ActionRecord,
        wanted: Filter,
        *,
        cursor: str,
        origin: str,
        max_waiting: int | None,
    ) -> ActionRecord:
        """Ask for an action, which upkeep carries out, and write into the log who did; return it.

        One of its id that is there already stays as it is, and is returned.

        Raises:
            TooManyActions: as many of its owner's have not ended as may be.
        """
        said: Entry = {"actor": record.actor, "origin": origin, "owner": record.owner}
        said |= {"selection": record.filter, "count": record.counted, "reason": record.reason}
        logged = log_fields(record.action, **said)
        told = flat(logged)
        fields = {
            "v": VERSION,
            "written": 0,
            "state": ActionState.WAITING,
            "owner": record.owner,
            "action": record.action,
            "filter": record.filter,
            "terms": json.dumps(FILTERS.dump_python(wanted, mode="json")),
            "actor": logged.get("actor", ""),
            "reason": logged.get("reason", ""),
            "counted": record.counted,
            "counted_all": int(record.counted_all),
            "cursor": cursor,
            **({} if max_waiting is None else {"max_waiting": max_waiting}),
        }
        outcome, waiting = self._scripts.run(
            "action_add",
            keys=[keys.action(record.id), keys.actions_asked(record.owner)],
            args=[record.id, len(told), *told, *flat(fields)],
        )
        if outcome == "full":
            raise TooManyActions(record.owner, waiting, limits.MOST_ACTIONS)
        return self.get(record.id)

    def cancel(self, action_id: str, *, actor: str, origin: str, reason: str) -> ActionRecord:
        """Stop an action once its present turn is done, and write into the log who did; return it.

        One that has ended stays as it is.

        Raises:
            ActionNotFound: there is none.
        """
        said: Entry = {"actor": actor, "origin": origin, "selection": action_id, "reason": reason}
        logged = flat(log_fields("action.cancel", **said))
        self._scripts.run("action_cancel", keys=[keys.action(action_id)], args=[action_id, *logged])
        return self.get(action_id)

    def find(self, action_id: str) -> ActionRecord | None:
        """Read one; None where there is none, or it cannot be read."""
        return self._read([action_id])[0]

    def get(self, action_id: str) -> ActionRecord:
        """Read one; raises ActionNotFound."""
        found = self.find(action_id)
        if found is None:
            raise ActionNotFound(printable(action_id))
        return found

    def newest(self, limit: int, *, owner: str | None) -> list[ActionRecord]:
        """Return the last actions of an owner, or of all, the newest first; what cannot be read is left out."""
        key = keys.ACTIONS_ASKED if owner is None else keys.actions_asked(owner)
        with translated(self._redis):
            ids: Any = self._redis.zrange(key, 0, max(0, limit - 1), desc=True)
        return [record for record in self._read(ids) if record]

    def waiting(self, limit: int) -> list[str]:
        """Return actions that have not ended, the one first whose last turn was longest ago."""
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.ACTIONS_WAITING, 0, limit - 1)
        return list(found)

    def turn(self, action_id: str) -> Turn | None:
        """Return the present turn of an action; None if it is not to be carried out by this version, or not at all.

        What is not stands behind the others from then on, or, if it is gone, nowhere.
        """
        with translated(self._redis):
            fields: Any = self._redis.hgetall(keys.action(action_id))
        turn = turn_of(action_id, fields)
        if turn is None or turn.record.has_ended:
            is_listed = bool(fields) and not (turn and turn.record.has_ended)
            with translated(self._redis):
                if is_listed:
                    self._redis.zincrby(keys.ACTIONS_WAITING, 60_000, action_id)
                else:
                    self._redis.zrem(keys.ACTIONS_WAITING, action_id)
            return None
        return turn

    def begin_turn(self, turn: Turn, jobs: Sequence[JobId], next_cursor: str | None) -> bool:
        """Write down which jobs a turn is about, before anything is done with them."""
        return self._write(
            turn, ActionState.RUNNING, {"jobs": " ".join(jobs), "next": next_cursor or ""}
        )

    def end_turn(
        self, turn: Turn, refusals: Sequence[Refusal] = (), *, error: str | None = None
    ) -> bool:
        """Write down what has come of a turn; the action goes on behind its jobs, or has ended.

        Args:
            error: why it fails here, in a sentence.
        """
        record = turn.record
        matched, refused = record.matched + len(turn.jobs), record.refused + len(refusals)
        kept = [*record.refusals, *map(_shortened, refusals)][:_TOLD]
        fields = {
            "jobs": "",
            "cursor": turn.next_cursor or turn.cursor,
            "matched": matched,
            "done": matched - refused,
            "refused": refused,
            "refusals": json.dumps([refusal.model_dump() for refusal in kept]),
        }
        if error is not None:
            return self._write(turn, ActionState.FAILED, {**fields, "error": _short(error)})
        state = ActionState.RUNNING if turn.next_cursor else ActionState.DONE
        return self._write(turn, state, fields)

    def faults(self, *, mend: bool) -> Iterator[tuple[str, str]]:
        """Give the actions that `waiting` should list and does not (`unlisted`), or should not (`stray`), and torn ones (`torn`)."""
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(keys.ACTIONS_WAITING, 0, -1)
            pipe.zrange(keys.ACTIONS_ASKED, 0, -1)
            found = dict.fromkeys(chain(*pipe.execute()))
        for page in in_pages(found, _AT_ONCE):
            faults = self._scripts.run("mend_action", args=[int(mend), *page])
            yield from ((one, fault) for one, fault in zip(page, faults, strict=True) if fault)
            yield from ((one, "torn") for one in page if self._is_torn(one))

    def _is_torn(self, action_id: str) -> bool:
        with translated(self._redis):
            fields: Any = self._redis.hgetall(keys.action(action_id))
        is_ours = bool(fields) and fields.get("v", str(VERSION)) == str(VERSION)
        return is_ours and turn_of(action_id, fields) is None

    def _write(self, turn: Turn, state: ActionState, fields: Mapping[str, Any]) -> bool:
        action_id = turn.record.id
        return bool(
            self._scripts.run(
                "action_write",
                keys=[keys.action(action_id)],
                args=[action_id, turn.written, state, *flat(fields)],
            )
        )

    def _read(self, action_ids: Sequence[str]) -> list[ActionRecord | None]:
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for action_id in action_ids:
                pipe.hgetall(keys.action(action_id))
            replies = replies_of(pipe)
        return [
            record_of(action_id, reply) if isinstance(reply, dict) else None
            for action_id, reply in zip(action_ids, replies, strict=True)
        ]


def shown_filter(wanted: Filter) -> str:
    """Return a filter as a record has it, for people."""
    return abridged(escaped(wanted.readable), most=_LONGEST_FILTER)


def _shortened(refusal: Refusal) -> Refusal:
    return refusal.model_copy(update={"reason": _short(refusal.reason)})


def _short(text: str) -> str:
    return abridged(escaped(text), most=_LONGEST)
