"""Prompt watch: what websocket messages said about one prompt: progress, listed files, hints of its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Self

from producer.contract.jobs import Progress
from worker.comfyui.history import count_files
from worker.comfyui.preview_frames import PreviewFrame
from worker.comfyui.progress import ProgressTally
from worker.comfyui.time_share import TimeShare

#: After these it is worth looking into the history. `execution_success` is not among them: in
#: one of nine cases the entry is made only after it (measured on ComfyUI 0.3.64).
_ENDS: Final = frozenset({"execution_error", "execution_interrupted"})


class PromptWatch:
    """The messages of one prompt, from before it is posted until it is closed.

    All of it is hints. A message may be lost, an error may concern a part of the graph alone;
    the node's history has the last word, and has to be asked now and then in any case.
    """

    def __init__(
        self,
        prompt_id: str,
        *,
        graph_nodes: Collection[str],
        on_close: Callable[[PromptWatch], None],
    ) -> None:
        self.prompt_id = prompt_id
        self._tally = ProgressTally(graph_nodes)
        self._time_share = TimeShare(graph_nodes)
        self._progress = Progress(graph_nodes=len(graph_nodes))
        self._last_heard: float | None = None
        self._preview: PreviewFrame | None = None
        self._listed: dict[str, int] = {}
        self._on_close = on_close
        self._changed = threading.Condition()
        self._hint = False  # an end was heard, and no wait has returned it yet
        self._news = False  # the same for progress, and for the first message
        self._woken = False
        self._has_begun = self._succeeded = self._is_over = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self.close()

    def weigh(
        self, seconds: Mapping[str, float], *, at_least: float = 0.0, ran_s: float | None = None
    ) -> None:
        """Take in how long each graph node is expected to take, s; see `TimeShare.weigh`."""
        with self._changed:
            self._time_share.weigh(seconds, at_least=at_least, ran_s=ran_s)

    @property
    def progress(self) -> Progress:
        """The latest that was heard, and which part of the time has passed by now, in hundredths."""
        with self._changed:
            share = self._time_share.share
        return self._progress.model_copy(
            update={"share": None if share is None else round(share, 2)}
        )

    @property
    def share_of_steps(self) -> float:
        """Which part of the render is known to be done, 0 to 1."""
        with self._changed:
            return self._time_share.share_of_steps

    @property
    def seconds(self) -> dict[str, float] | None:
        """How long each graph node took; None unless all was heard, to the end."""
        with self._changed:
            return self._time_share.seconds if self._has_begun else None

    @property
    def listed(self) -> dict[str, int]:
        """How many files each graph node was heard to list, of those that listed any."""
        return dict(self._listed)

    @property
    def last_heard(self) -> float | None:
        """When the last message came, by `time.monotonic()`.

        None as long as none has; the first one comes when the prompt begins to run.
        """
        return self._last_heard

    @property
    def has_left_card(self) -> bool:
        """Whether the prompt was heard to succeed and to be over: the node executes the next one."""
        return self._succeeded and self._is_over

    def wait(self, timeout: float, *, or_progress: bool = False) -> bool:
        """Wait until the prompt seems to have ended.

        Every hint is handed out once, so that a wrong one cannot make its reader spin.

        Args:
            timeout: seconds.
            or_progress: return at the first message and at each change of progress as well.

        Returns:
            True when an end was heard: look into the history now. False when the time is over,
            the prompt began or came further, or `wake` was called.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._hint or self._woken or (or_progress and self._news), timeout
            )
            hint = self._hint
            self._hint = self._news = self._woken = False
            return hint

    def wake(self) -> None:
        """Let a wait return now, or the next one at once."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    @property
    def preview(self) -> PreviewFrame | None:
        """The newest preview; another one is another object."""
        return self._preview

    def on_preview(self, preview: PreviewFrame) -> None:
        """Keep a preview of this prompt in place of the one before; socket thread only."""
        self._preview = preview

    def close(self) -> None:
        """Stop watching; a wait returns."""
        self._on_close(self)
        self.wake()

    def on_message(self, kind: str, data: dict[str, Any]) -> None:
        """Update progress, files and hints by a message of this prompt; socket thread only."""
        # A blocked part of the graph sends an error too, without a time; the rest goes on.
        is_last = _is_last(kind, data)
        ended = (kind in _ENDS and "timestamp" in data) or is_last
        self._succeeded |= kind == "execution_success"
        self._is_over |= is_last
        progress = self._tally.add(kind, data)
        if kind == "executed" and (count := count_files(data.get("output"))):
            self._listed[str(data.get("node"))] = count
        with self._changed:
            self._time_share.on_message(kind, self._tally)
            self._has_begun |= kind == "execution_start"
            news = progress != self._progress or self._last_heard is None
            self._last_heard = time.monotonic()
            self._progress = progress
            self._hint |= ended
            self._news |= news
            if ended or news:
                self._changed.notify_all()


def _is_last(kind: str, data: dict[str, Any]) -> bool:
    """Tell whether nothing more will come; the history entry exists by then."""
    return kind == "executing" and data.get("node") is None
