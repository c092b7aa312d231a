"""Streams that tell of previews, too: what they hold is freed with them, and an event is never held up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from producer.contract.previews import PreviewNote
from producer.http.previews import SharedPreviews, with_previews

NOTE = PreviewNote(
    job="job", attempt=1, media_type="image/png", bytes=7, at=datetime(2026, 11, 28, tzinfo=UTC)
)


class Feed:
    """Gives some frames, then waits for ever."""

    def __init__(self, *frames, ends=False):
        self.running = {"job"}
        self.is_closed = False
        self._frames = frames
        self._ends = ends

    async def frames(self, _after):
        try:
            for frame in self._frames:
                yield frame
            if not self._ends:
                await asyncio.Event().wait()
        finally:
            self.is_closed = True


class Fleet:
    """Has one preview; counts the questions."""

    def __init__(self):
        self.asked = 0

    async def preview_note(self, _job):
        self.asked += 1
        return NOTE


async def taken(feed, count, fleet):
    stream = with_previews(feed, None, "job", SharedPreviews(fleet))
    found = [await anext(stream) for _ in range(count)]
    await stream.aclose()
    return found


def test_a_preview_is_told_once_and_the_feed_is_closed_with_the_stream():
    feed, fleet = Feed(b"snapshot"), Fleet()
    first, second = asyncio.run(taken(feed, 2, fleet))
    assert first == b"snapshot"
    assert second.startswith(b"event: preview\ndata: {")
    assert feed.is_closed


def test_a_stream_that_is_cut_while_it_waits_closes_its_feed():
    feed = Feed()

    async def cut():
        feed.running = set()
        stream = with_previews(feed, None, "job", SharedPreviews(Fleet()))
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await stream.aclose()

    asyncio.run(cut())
    assert feed.is_closed


def test_it_ends_with_its_feed_and_tells_every_frame():
    feed = Feed(*(b"%d" % number for number in range(100)), ends=True)

    async def all_of():
        stream = with_previews(feed, None, "job", SharedPreviews(Fleet()))
        return [frame async for frame in stream]

    told = asyncio.run(all_of())
    assert [frame for frame in told if b"preview" not in frame] == [b"%d" % n for n in range(100)]
    assert len(told) == 101


def test_streams_of_one_process_share_a_look():
    fleet = Fleet()

    async def three():
        shared = SharedPreviews(fleet)
        return await asyncio.gather(*(shared.newest("job") for _ in range(3)))

    assert asyncio.run(three()) == [NOTE] * 3
    assert fleet.asked == 1
