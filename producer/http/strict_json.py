"""JSON bodies, read strictly: no NaN, no key twice, bounded depth; and the routes that read them so.

All routes of the API are such: what a request says and nobody reads is a slip of whoever wrote it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from producer.access_keys import allowing
from producer.acting import Who, acting
from producer.contract.access import AccessKey, Scope
from producer.contract.errors import ScopeMissing
from producer.contract.graph.json_values import has_depth, printable
from producer.contract.json_texts import said_twice
from producer.http.access import scopes_of
from producer.http.gate import has_body
from producer.http.known_answers import unless_known
from producer.http.problems import Flaw, Problem, ProblemType, problem_of
from producer.http.request_flaws import parameter_flaws

#: Levels of lists and objects in a body. A graph's values may have 50.
_DEEPEST: Final = 100
#: Lists, objects and commas in a body, which are its values and more: each may take a hundred bytes once it is read, where
#: `[],` has three, and packed rows hardly any. A job's graph, params and extra data, of 4 MiB each, have fewer.
_MOST_VALUES: Final = 2_000_000
#: A larger body is parsed in a thread, bytes.
_LARGE: Final = 1 << 16
#: Of a body that nobody reads so much is looked at, bytes.
_SMALL: Final = 4_096
_NOTHING: Final = frozenset({b"", b"{}", b"null"})


class StrictRoute(APIRoute):
    """A route that reads its body by `parse`, none of a key that lacks its scope, and no query parameter that it has not."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, which gets a stricter request once its key's scope was looked at."""
        handler = super().get_route_handler()
        scopes = scopes_of(self.dependant)
        takes_json = self.body_field is not None
        takes_body = takes_json or "requestBody" in (self.openapi_extra or {})

        async def strict(request: Request) -> Response:
            for scope in scopes:  # FastAPI looks at it once the body is read
                _check_scope(request, scope)
            if request.scope["query_string"] and (flaws := self._flaws(request)):
                raise Problem(ProblemType.INVALID_REQUEST, flaws[0].detail, flaws=flaws)
            if has_body(request.headers):
                if takes_json:
                    _check_packing(request)
                elif not takes_body:
                    await _check_empty(request)
            who = who_asks(request)
            with acting(who.actor, who.origin, is_stranger=who.is_stranger):
                response = await handler(StrictRequest(request.scope, request.receive))
            return unless_known(request, response)

        return strict

    def _flaws(self, request: Request) -> list[Flaw]:
        return parameter_flaws(request.query_params.multi_items(), self)


def who_asks(request: Request) -> Who:
    """Return who asks, for the log of actions; nobody where no key is needed."""
    key: AccessKey | None = request.scope.get("state", {}).get("key")
    if key is None:
        return Who()
    origin = request.client.host if request.client else ""
    return Who(f"key {key.name}", origin, is_stranger=not key.allows(Scope.OPERATE))


def _check_scope(request: Request, scope: Scope) -> None:
    try:
        allowing(request.state.key, scope)
    except ScopeMissing as exc:
        problem = problem_of(exc)
        if has_body(request.headers):
            problem.headers = {**(problem.headers or {}), "Connection": "close"}  # nobody reads it
        raise problem from exc


def _check_packing(request: Request) -> None:
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing != "identity":
        raise Problem(
            ProblemType.WRONG_MEDIA_TYPE,
            f"the body is packed by {printable(packing)}; expected JSON as it is",
            advice="send it without Content-Encoding; rows of a batch may be packed by gzip",
            headers={"Accept-Encoding": "identity", "Connection": "close"},
        )


async def _check_empty(request: Request) -> None:
    """Raise Problem for a body that nobody would read: who says `dry_run` there means it.

    Nothing, `{}` and `null` are what clients send that always send a body.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _SMALL:
            break
    if len(body) <= _SMALL and body.strip() in _NOTHING:
        return
    detail = "this takes no body"
    try:
        found = parse(body)
    except Problem:
        found = None
    if isinstance(found, dict):
        detail = f"there is no field {printable(next(iter(found)))}; {detail}"
    flaw = Flaw("extra_forbidden", detail, pointer="#")
    raise Problem(
        ProblemType.INVALID_REQUEST, detail, flaws=[flaw], headers={"Connection": "close"}
    )


class StrictRequest(Request):
    """A request whose body is read by `parse`."""

    async def json(self) -> Any:
        """Return its body's value; raises Problem as of `parse`. A large one is parsed when it is its owner's turn."""
        body = await self.body()
        if len(body) <= _LARGE:
            return parse(body)
        async with self.app.state.heavy_calls.turn(self.state.key.owner):
            return await asyncio.to_thread(parse, body)


def parse(body: bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        Problem: it is none, is nested too deep, has too many values, says a key twice, or holds NaN, Infinity or a
            number of more than 4,300 digits.
    """
    if len(body) > _MOST_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise Problem(ProblemType.TOO_LARGE, f"the body has more than {_MOST_VALUES:,} values")
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            parse_constant=_no_constant,
            object_pairs_hook=_without_doubles,
        )
    except UnicodeDecodeError as exc:
        raise _malformed(
            f"the body is not UTF-8 text: offset {exc.start}", advice="send it as UTF-8, unpacked"
        ) from exc
    except json.JSONDecodeError as exc:
        raise _malformed(
            f"the body is no JSON: {exc.msg.removesuffix(' at')} at line {exc.lineno}, column {exc.colno}"
        ) from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    except ValueError as exc:
        raise _malformed("the body has a number of more than 4,300 digits") from exc
    if not has_depth(value, most=_DEEPEST - 1):
        raise _too_deep()
    return value


def _no_constant(name: str) -> NoReturn:
    raise _malformed(f"the body is no JSON: {name} is no JSON number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _malformed(f"the body says {printable(said_twice(pairs))} twice in one object")
    return found


def _too_deep() -> Problem:
    return _malformed(f"the body is nested deeper than {_DEEPEST} levels")


def _malformed(detail: str, *, advice: str | None = None) -> Problem:
    return Problem(ProblemType.MALFORMED_REQUEST, detail, advice=advice)
