"""What is wrong with a request's form, each in one sentence: the field, what is there, and what was expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter

from producer.contract.graph.json_values import kind_of, printable, shown, text_flaw
from producer.contract.near_names import near_names
from producer.http.problems import Flaw, pointer_of

_Schema = Mapping[str, Any]

#: Fields that a sentence names.
_NAMED: Final = 12
#: What the pattern of names means, for a person.
NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
_PATTERNS: Final = {NAME_PATTERN: "1 to 63 characters: a to z, 0 to 9, and . _ - after the first"}
#: By the function of a route, and a place of its requests: to make one takes milliseconds.
_schemas: Final[dict[tuple[Callable[..., Any], str], tuple[_Schema, _Schema]]] = {}
_TIME: Final = "a time with its zone, as 2026-11-28T17:00:00Z"
_BODY: Final = "body"
_QUERY: Final = "query"
_PLACES: Final = (_BODY, _QUERY, "path", "header")


def flaw_of(found: Mapping[str, Any], route: APIRoute | None) -> Flaw:
    """Return one of pydantic's findings as a flaw.

    Args:
        found: as of `RequestValidationError.errors`.
        route: that the request is for, whose fields are known.
    """
    place, *parts = found["loc"]
    kind = str(found["type"])
    schema, defs = _schema_of(route, str(place)) if route else ({}, {})
    advice = None
    if kind == "extra_forbidden":
        known = list(_at(schema, parts[:-1], defs).get("properties", ()))
        what = "field" if place == _BODY else "parameter"
        detail, allowed = _unknown(what, parts, known), known or None
        if place == _BODY and "graph" in known:
            advice = _graph_advice(str(parts[-1]), found.get("input"))
    else:
        wanted = _at(schema, parts, defs)
        detail, allowed = _sentence(found, parts, wanted, defs), wanted.get("enum")
    return Flaw(
        kind,
        detail,
        pointer=pointer_of(parts) if place == _BODY else "",
        parameter="" if place == _BODY else str(parts[0] if parts else place),
        allowed=allowed,
        advice=advice,
    )


def _graph_advice(name: str, value: object) -> str | None:
    """Return what to do about a body as ComfyUI itself takes it, or one that is a graph."""
    if isinstance(value, Mapping) and "class_type" in value:
        return 'the body is a graph itself; send {"graph": {...}}'
    if name in {"prompt", "workflow"}:
        return 'send the graph as "graph", and what goes beside it as "extra_data"'
    return None


def parameter_flaws(given: Sequence[tuple[str, str]], route: APIRoute) -> list[Flaw]:
    """Return what is wrong with the names of query parameters: those that a route has not, or that come twice."""
    known = list(_schema_of(route, _QUERY)[0]["properties"])
    counts = Counter(name for name, _ in given)
    flaws = []
    for name, count in islice(counts.items(), _NAMED):
        if name not in known:
            detail = _unknown("parameter", [name], known)
            flaws.append(Flaw("extra_forbidden", detail, parameter=name, allowed=known))
        elif count > 1:
            detail = f"parameter {name} comes {count} times; expected it once"
            flaws.append(Flaw("given_twice", detail, parameter=name))
    return flaws


def placed(flaw: Flaw, route: APIRoute | None) -> Flaw:
    """Return a flaw of the library's with its place as the route has it: one argument is a field here, a parameter there."""
    name = flaw.parameter or flaw.pointer[len("#/") :].partition("/")[0]
    if route is None or not name or flaw.row is not None or flaw.of:
        return flaw
    known = {
        place: list(_resolved(*_schema_of(route, place)).get("properties", ())) for place in _PLACES
    }
    if name in known[_BODY]:
        return flaw if flaw.pointer else flaw._replace(pointer=pointer_of([name]), parameter="")
    of_header = [one for one in known["header"] if one == name.replace("_", "-")]
    named = [one for one in (*known[_QUERY], *known["path"]) if one in {name, f"{name}_id"}]
    found = next(iter(of_header or named or known["path"]), None)
    if found is None:
        return flaw
    return flaw._replace(pointer="", parameter=found.title() if of_header else found)


def _unknown(what: str, parts: Sequence[str | int], known: Sequence[str]) -> str:
    name = str(parts[-1])
    near = near_names(name.lower(), known)
    some = ", ".join(known[:_NAMED])
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    takes = f"; this takes {some}{more}" if known else ""
    if not known and what == "parameter":
        takes = "; this takes none"
    inside = f" in {_dotted(parts[:-1])}" if parts[1:] else ""
    hint = f"; did you mean {near[0]}?" if near else takes
    return f"there is no {what} {printable(name)}{inside}{hint}"


def _sentence(
    found: Mapping[str, Any], parts: Sequence[str | int], wanted: _Schema, defs: _Schema
) -> str:
    where, expected = _where(parts), expectation(wanted, defs)
    must = f"; expected {expected}" if expected else ""
    if found["type"] == "missing":
        return f"{where} is missing{must}"
    return f"{where} {_what_is_there(found)}{must}"


def _what_is_there(found: Mapping[str, Any]) -> str:
    value = found.get("input")
    if found["type"] == "string_unicode":
        return text_flaw(value) or "is no text"
    if found["type"] == "string_too_long" and isinstance(value, str):
        return f"has {len(value):,} characters"
    if found["type"] == "too_long" and isinstance(value, list):
        return f"has {len(value):,} entries"
    if isinstance(value, str | int | float):
        return f"is {shown(value)}"
    if found["type"] == "too_short" and value == []:
        return "is an empty list"
    return f"is {kind_of(value)}"


def _where(parts: Sequence[str | int]) -> str:
    return _dotted(parts) if parts else "the body"


def _dotted(parts: Sequence[str | int]) -> str:
    return printable(".".join(map(str, parts)))


def expectation(schema: _Schema, defs: _Schema = {}) -> str:  # noqa: B006 - it is read
    """Return what a JSON schema expects, as `a whole number from 1 to 1,000`; empty where it takes anything."""
    wanted = _resolved(schema, defs)
    if choices := wanted.get("enum") or ([wanted["const"]] if "const" in wanted else None):
        return _listed([str(one) for one in choices])
    kind = wanted.get("type")
    if kind in {"integer", "number"}:
        return f"{'a whole number' if kind == 'integer' else 'a number'}{_range(wanted)}"
    if kind == "string":
        return _text(wanted)
    if kind == "array":
        least, most = wanted.get("minItems", 0), wanted.get("maxItems")
        if most:
            return f"a list of {f'{least:,} to' if least else 'at most'} {most:,}"
        return f"a list of at least {least:,}" if least else "a list"
    return {"boolean": "true or false", "object": "an object"}.get(str(kind), "")


def _text(wanted: _Schema) -> str:
    if wanted.get("format") == "date-time":
        return _TIME
    if known := _PATTERNS.get(wanted.get("pattern", "")):
        return known
    least, most = wanted.get("minLength", 0), wanted.get("maxLength")
    if most:
        return f"text of {f'{least:,} to' if least else 'at most'} {most:,} characters"
    return f"text of at least {least:,} characters" if least else "text"


def _range(wanted: _Schema) -> str:
    least, most = wanted.get("minimum"), wanted.get("maximum")
    above, below = wanted.get("exclusiveMinimum"), wanted.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f" from {least:,.12g} to {most:,.12g}"
    words = [
        (f"above {above:,.12g}" if above is not None else ""),
        (f"of at least {least:,.12g}" if least is not None else ""),
        (f"below {below:,.12g}" if below is not None else ""),
        (f"of at most {most:,.12g}" if most is not None else ""),
    ]
    return "".join(f"{' and' * bool(n)} {word}" for n, word in enumerate(filter(None, words)))


def _listed(names: Sequence[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}" if some else last


def _at(schema: _Schema, parts: Iterable[str | int], defs: _Schema) -> _Schema:
    """Return the schema of a place; empty where nothing is known of it."""
    here = _resolved(schema, defs)
    for part in parts:
        inner = here.get("properties", {}).get(part)
        if inner is None:
            inner = here.get("items" if isinstance(part, int) else "additionalProperties")
        here = _resolved(inner, defs) if isinstance(inner, Mapping) else {}
    return here


def _resolved(schema: _Schema, defs: _Schema) -> _Schema:
    if name := str(schema.get("$ref", "")).rpartition("/")[2]:
        return _resolved(defs.get(name, {}), defs)
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return _resolved(options[0], defs) if len(options) == 1 else schema


def _schema_of(route: APIRoute, place: str) -> tuple[_Schema, _Schema]:
    """Return what a route takes at a place of the request (`body`, `query`, `path`, `header`), and definitions in it."""
    known = (route.endpoint, place)
    if known not in _schemas:
        _schemas[known] = _made_schema(route, place)
    return _schemas[known]


def _made_schema(route: APIRoute, place: str) -> tuple[_Schema, _Schema]:
    dependant = route.dependant
    fields = {
        _BODY: dependant.body_params,
        _QUERY: dependant.query_params,
        "path": dependant.path_params,
        "header": dependant.header_params,
    }.get(place, [])
    properties: dict[str, Any] = {}
    defs: dict[str, Any] = {}
    for field in fields:
        info = field.field_info
        schema = TypeAdapter(info.rebuild_annotation()).json_schema()
        defs |= schema.pop("$defs", {})
        if place == _BODY:
            return schema, defs
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            told = schema.get("properties", {})
            if place == "header":
                told = {name.replace("_", "-"): one for name, one in told.items()}
            properties |= told
        else:
            properties[field.alias] = schema
    return {"type": "object", "properties": properties}, defs
