"""Request for a job, as the caller made it; checks its names, tier, place and durations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final, TypedDict, cast

from producer.contract.deliver import Deliver
from producer.contract.errors import InvalidJob
from producer.contract.graph.graph import GraphDocument, GraphLike
from producer.contract.graph.json_values import printable, text_flaw
from producer.contract.nodes import Node
from producer.contract.owners import owner_flaw
from producer.contract.queues import Tier, is_name
from producer.contract.submissions import LONGEST_WITHIN_S
from producer.intake.fetch_limits import FetchUse
from producer.intake.files import InputLike

#: Names that an error tells.
_TOLD: Final = 100
#: The longest name of each kind, characters.
_LONGEST: Final = {"pool": 63, "pin": 63, "idempotency_key": 512, "name": 256}


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of `Producer.submit`, unchecked; None of a duration stands for the setting.

    Args:
        graph: a document where it was read and checked before.
        came_at: when it was made, s of the monotonic clock: what is read of nodes after that is new to it.
        may_wait: whether nodes may be asked, for seconds, for a model that nobody has; see `MustWait`.
        fetched: what was fetched for it so far.
        template: the name by which it asked for its graph; empty where the graph was handed in.
    """

    graph: GraphLike | GraphDocument
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, InputLike] = field(default_factory=dict)
    extra_data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    pool: str = "default"
    tier: Tier | str = Tier.DEFAULT
    pin: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    hook: str = ""
    deliver: Mapping[str, Any] | Deliver | None = None
    idempotency_key: str | None = None
    start_within: timedelta | None = None
    run_within: timedelta | None = None
    came_at: float = field(default_factory=time.monotonic, compare=False, repr=False)
    may_wait: bool = True
    fetched: FetchUse = field(default_factory=FetchUse, compare=False, repr=False)
    template: str = ""


#: Bytes of a graph from which on it is no call that others wait for.
LARGE: Final = 1 << 17
#: Graph nodes of one that has about as many.
_MANY: Final = 500


class MustWait(Exception):
    """A request that said it may not wait would have to; it is to be checked by itself."""


class JobOptions(TypedDict, total=False):
    """The keyword arguments of `Producer.submit`, typed for code that passes them on."""

    params: Mapping[str, Any] | None
    inputs: Mapping[str, InputLike] | None
    extra_data: Mapping[str, Any] | None
    pool: str
    tier: Tier | str
    pin: str | None
    metadata: Mapping[str, str] | None
    owner: str
    hook: str
    deliver: Mapping[str, Any] | Deliver | None
    idempotency_key: str | None
    start_within: timedelta | None
    run_within: timedelta | None


def is_large(graph: object) -> bool:
    """Tell whether a graph is surely a large one, by what costs nothing to see; of one by name nobody knows yet."""
    if isinstance(graph, str | bytes):
        return len(graph) > LARGE
    if isinstance(graph, Mapping):
        inner = graph.get("prompt", graph)
        return isinstance(inner, Mapping) and len(inner) > _MANY
    return False


def request_of(graph: GraphLike, options: JobOptions) -> Request:
    """Return a request with the options that are not None; raises TypeError for one that there is not."""
    if odd := next((name for name in options if name not in JobOptions.__annotations__), None):
        # What a request notes of itself is no option.
        hint = "; name one by NamedGraph in place of the graph" if odd == "template" else ""
        raise TypeError(f"unexpected keyword argument {odd!r}{hint}")
    given = {name: value for name, value in options.items() if value is not None}
    return Request(graph=graph, **cast("Any", given))


def as_tier(value: Tier | str) -> Tier:
    """Return a tier by its name.

    Raises:
        InvalidJob: there is none of that name; lists the tiers.
    """
    try:
        return Tier(value)
    except ValueError:
        known = ", ".join(Tier)
        raise InvalidJob(
            f"there is no tier {value!r}; tiers are {known}", field="tier", allowed=list(Tier)
        ) from None


def check_place(nodes: Sequence[Node], *, pool: str | None, pin: str | None) -> None:
    """Check that pool and pinned node are among *nodes*, if there are any nodes.

    Raises:
        InvalidJob: one is unknown; suggests a similar name.
    """
    if pin and nodes and pin not in (names := [node.name for node in nodes]):
        raise InvalidJob(_unknown("node", pin, names), field="pin", allowed=names[:_TOLD])
    if pool and nodes and pool not in (pools := sorted({node.pool for node in nodes})):
        raise InvalidJob(_unknown("pool", pool, pools), field="pool", allowed=pools[:_TOLD])


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"{what}s are {', '.join(known)}"
    return f"there is no {what} {name!r}; {hint}"


def check_names(request: Request, *, name: str = "") -> None:
    """Check pool, pin, owner, hook and idempotency key of a request, and a batch's *name*.

    Raises:
        InvalidJob: one is too long, no text or no valid name; or params, inputs or metadata are no
            mapping.
    """
    for part in ("params", "inputs", "metadata"):
        if not isinstance(given := getattr(request, part), Mapping):
            raise InvalidJob(f"{part} must be a mapping, not {type(given).__name__}", field=part)
    names = {
        "pool": request.pool,
        "pin": "" if request.pin is None else request.pin,
        "owner": request.owner,
        "hook": request.hook,
        "idempotency_key": "" if request.idempotency_key is None else request.idempotency_key,
        "name": name,
    }
    for what, given in names.items():
        if flaw := text_flaw(given):
            raise InvalidJob(f"{what} {flaw}", field=what)
        if what in _LONGEST and len(given) > (limit := _LONGEST[what]):
            raise InvalidJob(
                f"{what} has {len(given):,} characters; the limit is {limit}", field=what
            )
    if flaw := owner_flaw(request.owner):
        raise InvalidJob(f"owner {flaw}", field="owner")
    if request.hook and not is_name(request.hook):
        raise InvalidJob(
            f"hook {printable(request.hook)} is no name of a webhook; expected 1 to 63 characters: "
            "a to z, 0 to 9, and . _ - after the first",
            field="hook",
        )
    for what in ("pool", "pin"):
        if (what == "pool" or request.pin) and not is_name(names[what]):
            raise InvalidJob(
                f"{what} {names[what]!r} is no name, so no node can have it", field=what
            )


def check_within(duration: object, *, field: str) -> None:
    """Check a duration for `start_within` or `run_within`.

    Raises:
        InvalidJob: it is no timedelta, not positive, or above ten years; names *field*.
    """
    if not isinstance(duration, timedelta):
        raise InvalidJob(f"{field} must be a timedelta, not {type(duration).__name__}", field=field)
    seconds = duration.total_seconds()
    if not 0 < seconds <= LONGEST_WITHIN_S:
        raise InvalidJob(
            f"{field} is {seconds:,.12g} s; "
            f"expected more than 0 s and at most {LONGEST_WITHIN_S:,} s, which is ten years",
            field=field,
        )
