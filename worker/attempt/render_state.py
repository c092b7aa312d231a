"""What a wait for a prompt remembers between its looks at the node."""

from __future__ import annotations

import time
from typing import Final

from producer.contract.jobs import Progress
from worker.attempt.kept_outputs import wait_limit_s
from worker.comfyui.events import EventSocket

#: How long a node may not answer while it has our prompt, s.
_AWAY_S: Final = 20.0


class RenderState:
    """What a wait remembers of how it looked at its node.

    Args:
        client_id: the connection that hears of the prompt; None if an earlier one would.
        recorded_ahead: whether the record says that it waits for the card.
        is_rendered: whether the record says that it has rendered.
    """

    def __init__(
        self, *, client_id: str | None, recorded_ahead: bool = False, is_rendered: bool = False
    ) -> None:
        self._is_rendered = is_rendered
        self.ended = False  #: The socket says so; the history has the last word.
        self.recorded_ahead = recorded_ahead
        self.has_begun = False  #: The card is this prompt's, as far as anybody knows.
        self.began = time.monotonic()
        self.queued_until = self.began  #: When the node last said that the prompt has to wait.
        self._done: dict[str, float] = {}
        self._posted_as = client_id
        self._connected_as = client_id
        self._progress = Progress()
        self._away_since: float | None = None
        self._was_idle = False

    def on_turn(self) -> None:
        """Count the run from now on, and not the wait for the card."""
        self.has_begun = True
        self.began = time.monotonic()

    def start_if_due(self, what: str, every_s: float) -> bool:
        """Tell, once every so often, that it is time for *what*."""
        now = time.monotonic()
        if now - self._done.get(what, self.began) < every_s:
            return False
        self._done[what] = now
        return True

    def is_subscribed(self, events: EventSocket) -> bool:
        """Tell whether the node's messages about the prompt come to us."""
        return events.connected and events.client_id == self._posted_as

    def note_connection(self, client_id: str) -> bool:
        """Tell whether the socket was connected anew since the last look."""
        old, self._connected_as = self._connected_as, client_id
        return old is not None and client_id != old

    def note_progress(self, progress: Progress) -> bool:
        """Tell whether the prompt came further since the last look."""
        old, self._progress = self._progress, progress
        return progress != old

    def on_no_answer(self) -> None:
        """Note that the node does not answer."""
        self._away_since = self._away_since or time.monotonic()

    @property
    def is_away_too_long(self) -> bool:
        """Whether the node has not answered for so long that its prompt is given up."""
        if self._away_since is None:
            return False
        # What has rendered lies there, and is worth more patience than what may have been lost.
        is_kept = self._is_rendered or self.ended
        within_s = wait_limit_s(self._away_since - self.began) if is_kept else _AWAY_S
        return time.monotonic() - self._away_since > within_s

    def on_queued(self) -> None:
        """Hear that the prompt waits in the node's queue."""
        self.queued_until = time.monotonic()

    def on_continued(self) -> None:
        """Hear that another prompt goes on with the work; whether it is heard nobody knows."""
        self.ended = False
        self.on_queued()
        self._done["history"] = 0.0  # it may have ended before anybody listened
        self._posted_as = None

    def on_answer(self) -> None:
        """Hear that the node answers."""
        self._away_since = None

    def note_idle(self, *, is_idle: bool) -> bool:
        """Whether the node was idle at the last look, too: once may be between two prompts."""
        old, self._was_idle = self._was_idle, is_idle
        return old and is_idle
