"""Lua scripts: loaded by name, each behind what it uses of what scripts share, and run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import FleetError, KeyOfAnotherType
from producer.store import keys, limits
from producer.store.connection import replies_or_errors_of, translated
from producer.store.used_parts import Part, parts_of, with_used_parts

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

_REDIS_CLOCK: Final = "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)"

#: What scripts share, in this order: each part may use those before it.
_SHARED: Final = (
    *("_counts", "_prelude", "_events", "_queues", "_owners", "_totals", "_batches", "_jobs"),
    *("_endings", "_attempt_end", "_outbox", "_templates", "_wishes", "_log", "_deliveries"),
)

#: A full Redis takes no new jobs and no pictures, but the jobs that run must still be able to end.
_WHEN_FULL: Final = "#!lua flags=allow-oom\n"
_NOT_WHEN_FULL: Final = "#!lua\n"
#: Also answered where writes are not: while Redis fails over, lacks replicas, cannot save to its disk, or is full.
_READS: Final = "#!lua flags=no-writes\n"
_TAKES_ROOM: Final = frozenset(
    {
        "submit",
        "retry",
        "batch_open",
        "batch_add",
        "batch_seal",
        "batch_feed",
        "key_add",
        "template_put",
        "batch_keep",
        "preview",
    }
)


#: What Redis says of a script that has met text, or nothing, where a number belongs.
_SENSELESS: Final = re.compile(
    r"attempt to (compare|perform arithmetic|index|concatenate)|bad argument|is not an integer|not a valid float"
    r"|invalid expire"
)
_ONLY_READ: Final = frozenset(
    {"count_waiting", "figures", "read_listed", "rows_to_pack", "to_pack"}
)


class Scripts:
    """Runs the scripts of `lua/` by name.

    Args:
        redis: connected with `decode_responses=True`.
        clock_lua: Lua statements that return Unix ms; Redis' own clock unless a test moves time.
    """

    def __init__(self, redis: Redis, *, clock_lua: str = _REDIS_CLOCK) -> None:
        self._redis = redis
        self._parts = _parts(clock_lua)
        self._scripts: dict[str, Script] = {}

    def run(self, name: str, *, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        """Run one script and return its reply.

        Raises:
            FleetUnreachable: Redis did not answer or would not run it.
            KeyOfAnotherType: it met a value that makes no sense.
        """
        script = self._scripts.get(name) or self._load(name)
        with _sense_of(name, keys), translated(self._redis):
            return script(keys=keys, args=args)

    def run_all(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run one script once for each of *calls*, which are its keys and arguments.

        They go in one round trip, and take effect in order.

        Raises:
            FleetUnreachable: Redis did not answer or would not run it; some may have taken effect.
            KeyOfAnotherType: one met a value that makes no sense; the others have taken effect.
        """
        script = self._scripts.get(name) or self._load(name)
        with (
            _sense_of(name, ()),
            translated(self._redis),
            self._redis.pipeline(transaction=False) as pipe,
        ):
            for keys, args in calls:
                script(keys=keys, args=args, client=pipe)
            return pipe.execute()

    def run_each(
        self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any | FleetError]:
        """Run one script once for each of *calls*, as `run_all`; return of each its reply, or its error.

        Raises:
            FleetUnreachable: Redis did not answer; some may have taken effect.
        """
        script = self._scripts.get(name) or self._load(name)
        replies = self._evaluated(script, calls)
        if unknown := [place for place, reply in enumerate(replies) if _is_unknown(reply)]:
            with translated(self._redis):
                self._redis.script_load(script.script)
            again = self._evaluated(script, [calls[place] for place in unknown])
            for place, reply in zip(unknown, again, strict=True):
                replies[place] = reply
        return [
            self._error_of(name, keys, reply) if isinstance(reply, Exception) else reply
            for (keys, _), reply in zip(calls, replies, strict=True)
        ]

    def _evaluated(
        self, script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for keys_, args in calls:
                # Not by the script itself: redis-py would ask for it in a round trip of its own each time.
                pipe.evalsha(script.sha, len(keys_), *keys_, *args)
            return replies_or_errors_of(pipe)

    def _error_of(self, name: str, keys: Sequence[str], reply: Exception) -> FleetError:
        try:
            with _sense_of(name, keys), translated(self._redis):
                raise reply
        except FleetError as exc:
            return exc

    def _load(self, name: str) -> Script:
        text = _flags(name) + with_used_parts(_texts()[name], self._parts)
        return self._scripts.setdefault(name, self._redis.register_script(text))


def _flags(name: str) -> str:
    if name in _ONLY_READ:
        return _READS
    return _NOT_WHEN_FULL if name in _TAKES_ROOM else _WHEN_FULL


@contextmanager
def _sense_of(name: str, keys: Sequence[str]) -> Iterator[None]:
    """Tell an error within a script as a KeyOfAnotherType: it met text, or nothing, where a number belongs.

    Args:
        keys: those of the script, of which the first is told.
    """
    from redis.exceptions import ResponseError  # noqa: PLC0415 - as in `connection`

    try:
        yield
    except ResponseError as exc:
        if not _SENSELESS.search(str(exc)):
            raise
        what = keys[0] if keys else "one of its keys"
        raise KeyOfAnotherType(
            f"the script {name} makes no sense of {what}: {str(exc).partition(' script: ')[0]}",
            key=keys[0] if keys else None,
            advice="comfyfleet check says what can be done about it",
        ) from exc


def _is_unknown(reply: Any) -> bool:
    from redis.exceptions import NoScriptError  # noqa: PLC0415 - as in `connection`

    return isinstance(reply, NoScriptError)


@cache
def _parts(clock_lua: str) -> tuple[Part, ...]:
    constants = "".join(
        f"local {name} = {value!r}\n"
        for name, value in {**vars(keys), **vars(limits)}.items()
        if name.isupper() and isinstance(value, str | int) and not name.startswith("_")
    )
    # One look at the clock a run: for a script no time passes.
    clock = (
        "local read_ms\n"
        "local function now_ms()\n"
        f"    read_ms = read_ms or (function() {clock_lua} end)()\n"
        "    return read_ms\n"
        "end\n"
    )
    texts = _texts()
    return tuple(parts_of(constants + clock + "\n".join(texts[name] for name in _SHARED)))


@cache
def _texts() -> dict[str, str]:
    """Read every script at once.

    A process that reads one only when it needs it may find that of a newer version, installed
    meanwhile, or have no file descriptor left to read it by.
    """
    folder = resources.files("producer.store").joinpath("lua")
    return {
        file.name.removesuffix(".lua"): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".lua")
    }
