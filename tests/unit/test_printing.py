"""Whatever a text says, the operator's terminal shows it and obeys nothing in it."""

from __future__ import annotations

import io
import json

import pytest

from producer.cli import escaping_console as consoles
from producer.cli import job_view
from producer.cli.escaping_console import EscapingConsole
from producer.cli.output import complain, print_json, print_row
from producer.contract.errors import FleetError
from producer.contract.jobs import JobError, JobStatus
from producer.contract.text_cleaning import escaped
from tests.sample_jobs import sample_job

ODD = (
    "[/]x",
    "[bold]loud[/bold]",
    "[link=http://x]click[/link]",
    "\x1b]8;;http://x\x07click\x1b]8;;\x07",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b[2J\x9b31m",
    "\u202egnp.exe",
    ":skull:",
    "a\rb\x00c\x7f",
)


@pytest.fixture(params=ODD, ids=ascii)
def odd(request) -> str:
    return request.param


@pytest.fixture
def console(monkeypatch):
    """A terminal, and what it was sent."""
    sent = io.StringIO()
    terminal = EscapingConsole(file=sent, force_terminal=True, color_system=None, width=400)
    for module in (consoles, job_view):
        monkeypatch.setattr(module, "OUT", terminal)
    monkeypatch.setattr(consoles, "ERR", terminal)
    return sent


def as_shown(text):
    """Return what is left of a text; rich drops a bell and a carriage's return by itself."""
    return escaped(text.translate(dict.fromkeys(map(ord, "\a\b\v\f\r"))))


def obeys_nothing(text):
    return all(char.isprintable() or char in "\n\t" for char in text)


def test_a_job_is_shown_with_whatever_its_texts_are(console, odd):
    job = sample_job(
        status=JobStatus.FAILED,
        done=True,
        metadata={odd: odd},
        params={"6.text": odd},
        error=JobError(cause="execution_error", message=odd, advice=odd),
        node="gpu-1",
    )
    job_view.show_job(job, waits_for=odd)
    shown = console.getvalue()
    assert obeys_nothing(shown)
    assert as_shown(odd) in shown


def test_an_error_is_told_with_whatever_its_text_is(console, odd):
    complain(FleetError(odd, advice=odd), as_json=False)
    assert obeys_nothing(console.getvalue())
    assert as_shown(odd) in console.getvalue()


def test_data_is_printed_without_commands(capsys, odd):
    print_row("row", odd)
    print_json({"text": odd})
    row, line = capsys.readouterr().out.splitlines()
    assert obeys_nothing(row)
    assert line.isprintable()
    assert json.loads(line) == {"text": odd}
