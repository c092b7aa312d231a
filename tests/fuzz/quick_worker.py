"""`python -m tests.fuzz.quick_worker`: a worker that looks and tries again sooner than it does."""

from __future__ import annotations

from datetime import timedelta

from worker import __main__
from worker.attempt import prompt, render, render_state, retry
from worker.node import agent


def main() -> None:
    """Serve with pauses that would make thousands of odd answers take an hour."""
    agent._LOOK_EVERY_S, agent._LOOK_SICK_EVERY_S = 0.5, 0.1
    prompt._TURNS_UP_S, prompt._LOOK_EVERY_S = 0.4, 0.1
    render_state._AWAY_S = 3.0
    render._POLL_EVERY_S, render._NOTE_EVERY_S = 0.3, 0.2
    retry._delay = lambda before: timedelta(seconds=0.1 * (before + 1))
    __main__.app(prog_name="comfyfleet worker")


if __name__ == "__main__":
    main()
