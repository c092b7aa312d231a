"""`python -m tests.fuzz.quick_worker`: a worker that looks and tries again sooner than it does."""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType
from typing import Any

from worker import __main__
from worker.attempt import prompt, prompt_wait, render_state, retry
from worker.node import agent


def main() -> None:
    """Serve with pauses that would make thousands of odd answers take an hour."""
    _set(agent, _CHECK_EVERY_S=0.5, _CHECK_SICK_EVERY_S=0.1)
    _set(prompt, _APPEARS_WITHIN_S=0.4, _POLL_EVERY_S=0.1)
    _set(render_state, _AWAY_S=3.0)
    _set(prompt_wait, _POLL_EVERY_S=0.3, _NOTE_EVERY_S=0.2)
    _set(retry, _delay=lambda before: timedelta(seconds=0.1 * (before + 1)))
    __main__.app(prog_name="comfyfleet worker")


def _set(module: ModuleType, **values: Any) -> None:
    for name, value in values.items():
        getattr(module, name)  # what is called otherwise by now would not be set
        setattr(module, name, value)


if __name__ == "__main__":
    main()
