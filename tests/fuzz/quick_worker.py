"""`python -m tests.fuzz.quick_worker`: a worker that looks and tries again sooner than it does."""

from __future__ import annotations

from datetime import timedelta

from worker import __main__, look, node, node_prompt, render, retry


def main() -> None:
    """Serve with pauses that would make thousands of odd answers take an hour."""
    node._LOOK_EVERY_S, node._LOOK_SICK_EVERY_S = 0.5, 0.1
    node_prompt._TURNS_UP_S, node_prompt._LOOK_EVERY_S = 0.4, 0.1
    look._AWAY_S = 3.0
    render._POLL_EVERY_S, render._NOTE_EVERY_S = 0.3, 0.2
    retry._delay = lambda before: timedelta(seconds=0.1 * (before + 1))
    __main__.app(prog_name="comfyfleet worker")


if __name__ == "__main__":
    main()
