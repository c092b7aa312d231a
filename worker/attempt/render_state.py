"""Render state: what the wait for a prompt keeps between two polls of its node."""

from __future__ import annotations

import math
import time
from typing import Final

from producer.contract.jobs import Progress
from worker.attempt.kept_outputs import wait_limit_s
from worker.comfyui.events import EventSocket
from worker.comfyui.preview_frames import PreviewFrame

#: How long a node may not answer while it has our prompt, s.
_AWAY_S: Final = 20.0
#: How long no preview is handed on after one could not be stored, s.
_NOT_SHOWN_S: Final = 30.0


class RenderState:
    """State of one wait for a prompt.

    Args:
        client_id: the connection that hears of the prompt; None if an earlier one would.
        recorded_ahead: whether the record says that it waits for the card.
        is_rendered: whether the record says that it has rendered.
        away_s: how long the node may not answer while it has our prompt; None: as usual.
    """

    def __init__(
        self,
        *,
        client_id: str | None,
        recorded_ahead: bool = False,
        is_rendered: bool = False,
        away_s: float | None = None,
    ) -> None:
        self._away_s = _AWAY_S if away_s is None else away_s
        self._is_rendered = is_rendered
        self.ended = False  #: The socket says so; the history has the last word.
        self.recorded_ahead = recorded_ahead
        self.has_begun = False  #: The card is this prompt's, as far as anybody knows.
        self.began = time.monotonic()
        self.queued_until = self.began  #: When the node last said that the prompt has to wait.
        self._done: dict[str, float] = {}
        self._posted_as = client_id
        self._connected_as = client_id
        self._progress = self._written = Progress()
        self._written_at = -math.inf
        self._shown: PreviewFrame | None = None
        self._away_since: float | None = None
        self._was_idle = False

    def on_turn(self) -> None:
        """Start the run's clock: the card is this prompt's, the wait for it does not count."""
        self.has_begun = True
        self.began = time.monotonic()

    def start_if_due(self, what: str, every_s: float) -> bool:
        """Return whether *what* is due, at most once every *every_s*; true counts as done."""
        now = time.monotonic()
        if now - self._done.get(what, self.began) < every_s:
            return False
        self._done[what] = now
        return True

    def is_subscribed(self, events: EventSocket) -> bool:
        """Return whether the node sends its messages about the prompt to this connection."""
        return events.connected and events.client_id == self._posted_as

    def note_connection(self, client_id: str) -> bool:
        """Remember the connection; return whether it is another than at the last poll."""
        old, self._connected_as = self._connected_as, client_id
        return old is not None and client_id != old

    def note_progress(self, progress: Progress) -> bool:
        """Remember the progress; return whether it has changed since the last poll."""
        old, self._progress = self._progress, progress
        return progress != old

    def must_write(self, progress: Progress, *, every_s: float) -> bool:
        """Return whether to write *progress* down: it is news, and the last was so long ago; true counts as done."""
        now = time.monotonic()
        if progress == self._written or now - self._written_at < every_s:
            return False
        self._written, self._written_at = progress, now
        return True

    def must_show(self, preview: PreviewFrame, *, every_s: float) -> bool:
        """Return whether to hand a preview on: it is another one, and the last was so long ago; true counts as done."""
        if preview is self._shown or not self.start_if_due("preview", every_s):
            return False
        self._shown = preview
        return True

    def on_not_shown(self) -> None:
        """Hand no preview on for a while: it could not be stored."""
        self._done["preview"] = time.monotonic() + _NOT_SHOWN_S

    def on_no_answer(self) -> None:
        """Note that the node does not answer."""
        self._away_since = self._away_since or time.monotonic()

    @property
    def is_away_too_long(self) -> bool:
        """Whether the node has not answered for so long that its prompt is given up."""
        if self._away_since is None:
            return False
        # What has rendered lies there, and is waited for longer than what may have been lost.
        is_kept = self._is_rendered or self.ended
        within_s = wait_limit_s(self._away_since - self.began) if is_kept else self._away_s
        return time.monotonic() - self._away_since > within_s

    def on_queued(self) -> None:
        """Restart the clock of silence: the prompt waits in the node's queue."""
        self.queued_until = time.monotonic()

    def on_continued(self) -> None:
        """Follow another prompt that continues the work; its messages may go elsewhere."""
        self.ended = False
        self.on_queued()
        self._done["history"] = 0.0  # it may have ended before anybody listened
        self._posted_as = None

    def on_answer(self) -> None:
        """End the node's absence: it answers."""
        self._away_since = None

    def note_idle(self, *, is_idle: bool) -> bool:
        """Return whether the node was idle at two polls in a row: once may be between prompts."""
        old, self._was_idle = self._was_idle, is_idle
        return old and is_idle
