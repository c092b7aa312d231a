"""Who has done what: a stream of the last 20,000 actions of persons and programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from producer.acting import who_acts
from producer.contract.operations import Action
from producer.contract.text_cleaning import abridged, escaped
from producer.store import keys
from producer.store.connection import translated
from producer.store.records import flat
from producer.store.scripts import Scripts
from producer.store.times import utc

if TYPE_CHECKING:
    from redis import Redis

_LONGEST: Final = 500  #: Characters of one field.


class Entry(TypedDict, total=False):
    """The fields of an `Action`, as they are written; `actor` and `origin` are those of `acting` by default."""

    actor: str
    origin: str
    selection: str
    count: int
    owner: str
    detail: str
    reason: str


class Actions:
    """Writes actions down, and reads them back.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def write(self, what: str, **said: Unpack[Entry]) -> str:
        """Write down one action, as `Action` says, and return its id. Texts are cleaned and cut at 500 characters.

        Of a stranger 60 a minute are written; what is beyond is counted by its next entry, as `more`.

        Raises:
            FleetUnreachable: Redis does not answer; what it tells of is done all the same.
        """
        return str(self._scripts.run("action_log", args=flat(log_fields(what, **said))))

    def newest(self, limit: int, *, before: str | None = None) -> list[Action]:
        """Return up to *limit* actions, the newest first; one that cannot be read is passed over.

        Args:
            before: the id of the last action that was read: go on with what is older.
        """
        until = f"({before}" if before else "+"
        with translated(self._redis):
            found: Any = self._redis.xrevrange(keys.ACTIONS, max=until, count=max(1, limit))
        read = (_action(entry_id, fields) for entry_id, fields in found)
        return [action for action in read if action is not None]


def log_fields(what: str, **said: Unpack[Entry]) -> dict[str, Any]:
    """Return the fields of an entry, but for its time; texts are cleaned and cut at 500 characters."""
    who, count = who_acts(), said.pop("count", 1)
    texts: dict[str, str] = {"what": what, **said}  # type: ignore[dict-item]  # without the count, all are texts
    texts["actor"] = texts.get("actor") or who.actor
    texts["origin"] = texts.get("origin") or who.origin
    short = {name: abridged(escaped(text), most=_LONGEST) for name, text in texts.items() if text}
    bound = {"stranger": 1} if who.is_stranger else {}  # before all: it is for the script alone
    return {**bound, "actor": "", **short, "count": count}  # without an actor no entry can be read


def _action(entry_id: str, fields: Mapping[str, str]) -> Action | None:
    try:
        return Action.model_validate({**fields, "id": entry_id, "at": utc(fields["at"])})
    except (ValueError, KeyError):
        return None
