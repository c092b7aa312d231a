"""Waits for a prompt that was posted: until its history entry, or until it is clear that none will come."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from producer.contract.errors import FleetError, FleetUnreachable
from producer.contract.jobs import Job, Phase, Progress
from producer.store.attempts import AttemptStore
from producer.store.previews import Picture, Previews
from worker.attempt.hand_back import HandBack
from worker.attempt.lease import Lease
from worker.attempt.prompt import NodePrompt
from worker.attempt.render_state import RenderState
from worker.attempt.shutdown import Shutdown
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.events import EventSocket
from worker.comfyui.history import HistoryEntry
from worker.comfyui.prompt_watch import PromptWatch
from worker.errors import HandedBack, NodeTimeout, NodeUnreachable, PromptStalled
from worker.scheduling.gate import Slot

_log = logging.getLogger(__name__)

#: How often a running prompt's progress is looked at, s.
_NOTE_EVERY_S: Final = 0.5
#: How long ago the last must be for it to be written to its record, s, while somebody reads the events.
_WATCHED_S: Final = 0.4
#: The same while nobody does, s.
_UNWATCHED_S: Final = 5.0
#: How long ago the last preview must be for the next one to be handed on, s.
_PREVIEW_EVERY_S: Final = 1.0
#: How long nothing may be heard of a prompt before /history is polled, and how often then, s.
_POLL_EVERY_S: Final = 2.0
#: The same of /queue, which answers with whole graphs, s.
_FIND_EVERY_S: Final = 10.0
#: How long the history entry may lag behind the socket's message, s; measured: 355 ms, once.
_ENTRY_LAGS_S: Final = 5.0
#: How long the node is left alone while it turns from one prompt to the next, s.
_TURNS_WITHIN_S: Final = 0.02


@dataclass(frozen=True)
class Run:
    """One attempt's prompt and what belongs to it."""

    job: Job
    prompt: NodePrompt
    lease: Lease
    slot: Slot
    watch: PromptWatch


class PromptWait:
    """Waits for prompts of one node; holds no state of its own.

    Args:
        stall: silence of a running prompt that means it is stuck.
        is_watched: whether somebody reads the events.
    """

    def __init__(
        self,
        comfyui: ComfyUI,
        events: EventSocket,
        store: AttemptStore,
        previews: Previews,
        *,
        node: str,
        stall: timedelta,
        shutdown: Shutdown,
        hand_back: HandBack,
        is_watched: Callable[[], bool],
    ) -> None:
        self._comfyui = comfyui
        self._events = events
        self._store = store
        self._previews = previews
        self._node = node
        self._stall_s = stall.total_seconds()
        self._shutdown = shutdown
        self._hand_back = hand_back
        self._is_watched = is_watched

    def until_ended(self, run: Run, state: RenderState) -> HistoryEntry:
        """Return the prompt's history entry; errors as of `Render.run`."""
        while True:
            or_progress = not state.has_begun or run.slot.needs_steps
            state.ended |= run.watch.wait(_NOTE_EVERY_S, or_progress=or_progress)
            run.lease.check()
            self._shutdown.check_render()
            try:
                if not state.has_begun:
                    self._check_turn(run, state)
                if run.watch.has_left_card and run.slot.on_left():
                    # Requests would take the interpreter from the thread that begins the next prompt.
                    time.sleep(_TURNS_WITHIN_S)
                entry = self._poll(run, state)
            except (NodeUnreachable, NodeTimeout):
                # An hour's render is not given up for a moment's silence.
                state.on_no_answer()
                if state.is_away_too_long:
                    raise
            else:
                if entry:
                    return entry
            self._note_progress(run, state)
            self._hand_on_preview(run, state)

    def _check_turn(self, run: Run, state: RenderState) -> None:
        """Check whether the card is the prompt's by now, or another node should have the job."""
        if run.watch.last_heard:
            run.slot.on_executing()
        if run.slot.turn_at is None:
            if self._hand_back.is_better_elsewhere(run.job, state) and run.prompt.withdraw():
                raise HandedBack(self._node, "another node can begin at once")
            return
        state.on_turn()
        run.lease.deadline.on_turn()
        if state.recorded_ahead:
            self._note(run.lease, phase=Phase.RENDERING)

    def _poll(self, run: Run, state: RenderState) -> HistoryEntry | None:
        """Poll the node itself, when the socket hints at the end or a poll is due.

        Each request takes the interpreter from the thread that executes, so of a prompt that is heard to
        go on nothing is asked.
        """
        silent_s = time.monotonic() - (run.watch.last_heard or -math.inf)
        is_heard = state.is_subscribed(self._events) and silent_s < _POLL_EVERY_S
        if state.ended or (not is_heard and state.start_if_due("history", _POLL_EVERY_S)):
            entry = run.prompt.entry(timeout_s=_ENTRY_LAGS_S if state.ended else 0)
            state.on_answer()
            if entry:
                return entry
            state.ended = False
            run.prompt.check_executes()
        # A new connection may mean a new ComfyUI, which knows nothing of our prompt.
        reconnected = self._events.connected and state.note_connection(self._events.client_id)
        find_every_s = min(_FIND_EVERY_S, self._stall_s / 2)
        if reconnected or (not is_heard and state.start_if_due("queue", find_every_s)):
            self._check_alive(run, state)
        return None

    def _check_alive(self, run: Run, state: RenderState) -> None:
        """Check that the node still has the prompt and makes progress."""
        place = run.prompt.place()
        state.on_answer()
        if place is PromptPlace.QUEUED:
            state.on_queued()
            # Behind others' prompts it waits as long as it takes; they are never interrupted.
            if state.note_idle(is_idle=not self._comfyui.is_busy()):
                raise PromptStalled(self._node, "it takes prompts, but executes none")
            return
        silent_s = time.monotonic() - max(run.watch.last_heard or state.began, state.queued_until)
        # What was posted under another connection's id is never heard, however well it renders.
        limit_s = 0.0 if state.is_subscribed(self._events) else run.job.run_within_s / 2
        if silent_s > max(self._stall_s, limit_s):
            raise PromptStalled(self._node, f"no progress for {silent_s:.0f} s")

    def _note_progress(self, run: Run, state: RenderState) -> None:
        progress = run.watch.progress
        if state.note_progress(progress):
            run.slot.on_progress(run.watch.share_of_steps)
        if state.must_write(progress, every_s=_WATCHED_S if self._is_watched() else _UNWATCHED_S):
            self._note(run.lease, progress=progress)

    def _hand_on_preview(self, run: Run, state: RenderState) -> None:
        """Store the newest preview while somebody watches; what nobody watches costs no command."""
        frame = run.watch.preview
        if not (frame and run.lease.is_previewed):
            return
        if state.must_show(frame, every_s=_PREVIEW_EVERY_S):
            try:
                picture = Picture(frame.graph_node, frame.media_type, frame.content)
                self._previews.write(run.lease.hold, picture)
            except FleetError as exc:
                state.on_not_shown()
                _log.warning("job %s: no preview: %s", run.job.id, exc)

    def _note(
        self, lease: Lease, *, phase: Phase | None = None, progress: Progress | None = None
    ) -> None:
        try:
            watched = self._is_watched()
            if self._store.note(lease.hold, phase=phase, progress=progress, is_watched=watched):
                lease.cancel.set()
        except FleetUnreachable as exc:
            # A note is worth nothing against the render; the lease decides about that.
            _log.warning("job %s: not written: %s", lease.hold.job_id, exc)
