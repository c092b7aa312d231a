"""Two pictures of a job's life: its statuses, from the table of moves, and who does what when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from producer.contract.jobs import JobStatus, Phase, sources_of
from tests.docs.svg import arrow, box, drawing, lifeline, text

_LIVE: Final = {JobStatus.HELD: 40, JobStatus.QUEUED: 220, JobStatus.RUNNING: 400}
_LIVE_SAID: Final = {
    JobStatus.HELD: "kept back",
    JobStatus.QUEUED: "it waits for a node",
    JobStatus.RUNNING: "one attempt",
}
_ENDS: Final = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED)
_BOX: Final = (140, 50)
_LIVE_Y: Final = 126


def statuses() -> str:
    """Return the picture of statuses."""
    assert {*_LIVE, *_ENDS} == set(JobStatus), "a status without a place"
    parts = [box(20, 70, 540, 150, kind="group"), text(290, 92, "has not ended", kind="said")]
    parts += _live()
    for number, end in enumerate(_ENDS):
        y = 20 + number * 66
        sources = [source for source in JobStatus if source in sources_of(end)]
        parts += [
            box(660, y, 180, _BOX[1], kind="warm" if end is JobStatus.SUCCEEDED else "box"),
            text(750, y + 22, end),
            text(750, y + 40, f"from {', '.join(sources)}", kind="said"),
            arrow(560, 145 + (number - 1.5) * 26, 658, y + 25),
        ]
    return drawing(860, 290, "The statuses of a job and its moves between them", parts)


def _live() -> Iterator[str]:
    for status, x in _LIVE.items():
        yield box(x, _LIVE_Y, *_BOX)
        yield text(x + 70, _LIVE_Y + 22, status)
        yield text(x + 70, _LIVE_Y + 40, _LIVE_SAID[status], kind="said")
    for left, right in ((JobStatus.HELD, JobStatus.QUEUED), (JobStatus.QUEUED, JobStatus.RUNNING)):
        assert left in sources_of(right), f"{left} does not become {right}"
        assert right in sources_of(left), f"{right} does not become {left}"
        yield arrow(_LIVE[left] + 142, _LIVE_Y + 25, _LIVE[right] - 2, _LIVE_Y + 25, both=True)
    yield text(380, _LIVE_Y + 72, "back to queued: attempt + 1", kind="said")


_BACKEND, _REDIS, _WORKER, _COMFYUI, _S3 = (190, 350, 510, 670, 830)
_LANES: Final = {
    "Producer": _BACKEND,
    "Redis": _REDIS,
    "worker": _WORKER,
    "ComfyUI": _COMFYUI,
    "S3": _S3,
}
_ROW: Final = 44
_TOP: Final = 86

#: From, to, what is said; and the phase or status that begins with it.
_STEPS: Final[tuple[tuple[int, int, str, str], ...]] = (
    (_BACKEND, _REDIS, "1  record, then message", JobStatus.QUEUED),
    (_REDIS, _WORKER, "2  message wakes", ""),
    (_WORKER, _REDIS, "3  claim, with a lease", JobStatus.RUNNING),
    (_S3, _WORKER, "4  input files", Phase.PREPARING),
    (_WORKER, _COMFYUI, "5  inputs, prompt", Phase.AHEAD),
    (_COMFYUI, _WORKER, "6  progress", Phase.RENDERING),
    (_WORKER, _REDIS, "7  events", ""),
    (_REDIS, _BACKEND, "8  told live", ""),
    (_COMFYUI, _WORKER, "9  history, files", Phase.FETCHING),
    (_WORKER, _S3, "10  files that are whole, then the manifest", Phase.STORING),
    (_WORKER, _REDIS, "11  commit", JobStatus.SUCCEEDED),
)


def life() -> str:
    """Return the picture of who does what when."""
    bottom = _TOP + len(_STEPS) * _ROW
    parts = [text(62, 46, "status, phase", kind="said")]
    for name, x in _LANES.items():
        parts += [lifeline(x, 60, bottom), box(x - 60, 20, 120, 40), text(x, 45, name)]
    leased = _TOP + 2 * _ROW
    parts.append(box(_WORKER - 5, leased - 14, 10, bottom - leased - _ROW + 28, kind="warm"))
    for number, (start, end, said, begins) in enumerate(_STEPS):
        y = _TOP + number * _ROW
        tip = 7 if start < end else -7
        parts += [
            arrow(start + tip, y + 10, end - tip, y + 10),
            text((start + end) / 2, y + 2, said, kind="said over"),
        ]
        if begins:
            kind = "warm" if begins in set(JobStatus) else "box"
            parts += [box(14, y - 8, 96, 28, kind=kind), text(62, y + 11, begins)]
    return drawing(920, bottom + 10, "A job from submission to commit", parts)
