"""The description of the API in OpenAPI 3.1: what FastAPI finds, and what it cannot know."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from producer.http.gate import PUBLIC
from producer.http.responses import ProblemForm, answers

_ABOUT: Final = """\
One queue in front of many ComfyUI machines. Every request but `/livez`, `/readyz` and this page's brings a key, which
`comfyfleet key create` makes: `Authorization: Bearer cfk_...`. A key sees what is its owner's. What goes wrong is told
as a problem (RFC 9457) of a fixed list of types.
"""
_REFERENCE: Final = "#/components/schemas/{model}"


def describe(app: FastAPI) -> None:
    """Have an app describe itself so."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(
                    title=app.title, version=app.version, description=_ABOUT, routes=app.routes
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    _, problems = models_json_schema([(ProblemForm, "validation")], ref_template=_REFERENCE)
    components = schema.setdefault("components", {})
    shared = components.setdefault("schemas", {})
    shared |= problems["$defs"]
    for name in ("HTTPValidationError", "ValidationError"):
        shared.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            # What cannot be read at all reaches no route; a query parameter that a route has not, none.
            for status in (400, 422):
                operation["responses"].setdefault(str(status), answers(status)[status])
            if path not in PUBLIC:
                operation["security"] = [{"key": []}]
    return schema
