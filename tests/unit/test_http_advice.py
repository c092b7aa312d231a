"""What the library advises is told over HTTP in words that somebody can act on who has no shell at the fleet."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from producer.http.advice import over_http

ROOT = Path(__file__).parents[2]
#: Modules whose errors reach nobody over HTTP: commands, processes, and what their operators do.
ELSEWHERE = {
    "cli",
    "over_http",
    "http_client.py",
    "http_aio.py",
    "celery_app.py",
    "checking",
    "config",
}
#: What no key may do: it is told to be passed on.
OF_OPERATORS = (
    "comfyfleet check",
    "another --name",
    "comfyfleet worker",
    "--restart-command",
    "--max-upload-size",
)


def advices():
    for path in sorted((ROOT / "producer").rglob("*.py")):
        parts = path.relative_to(ROOT / "producer").parts
        if ELSEWHERE & {*parts} or parts[0] == "http":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "advice" and (text := written(keyword.value)):
                        yield text


def written(node) -> str:
    """Return a text as it is written, with X1 for what is put into it."""
    if isinstance(node, ast.Constant):
        return str(node.value or "")
    if isinstance(node, ast.JoinedStr):
        return "".join(
            written(part) if isinstance(part, ast.Constant) else "X1" for part in node.values
        )
    return ""


def test_no_advice_names_a_command_or_its_options():
    found = {over_http(advice) for advice in advices()}
    assert len(found) > 30
    shell = {
        advice
        for advice in found
        if ("comfyfleet " in advice or " --" in advice or "`comfyfleet" in advice)
        and not any(words in advice for words in OF_OPERATORS)
    }
    assert shell == set()


@pytest.mark.parametrize(
    ("advice", "told"),
    [
        ("comfyfleet template list shows what there is", "GET /v1/templates shows what there is"),
        (
            "wait for it, or end it: comfyfleet job cancel X1",
            "wait for it, or end it: POST /v1/jobs/X1/cancel",
        ),
        ("comfyfleet batch move X1 moves them", "POST /v1/batches/X1/move moves them"),
        (
            "comfyfleet batch move moves all rows of a batch",
            "POST /v1/batches/{id}/move moves all rows of a batch",
        ),
        ("comfyfleet webhook enable orders", "POST /v1/webhooks/orders/enable"),
        (
            "add --input '1.image=FILE', or '1.image=node:' if every node has it",
            'add it to inputs: {"1.image": {"upload": ID}}',
        ),
        ("did you mean 6.text?", "did you mean 6.text?"),
    ],
)
def test_an_advice_names_the_route_or_the_field(advice, told):
    assert over_http(advice) == told
