"""Preview frames: the binary messages in which ComfyUI shows what it has rendered so far. Foreign data, so bounded."""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

from producer.contract.text_cleaning import abridged, escaped
from worker.foreign_data import UNREADABLE, read_json

#: What a client says first, so that previews name their prompt: without it one of somebody else's prompt, posted
#: without a client id and so sent to everybody, could not be told from ours (0.3.64, 0.33.0). Older versions ignore it.
OFFER: Final = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'

#: Events of binary frames; 3 is text.
_PREVIEW: Final = 1
_PREVIEW_WITH_METADATA: Final = 4
#: Bytes of a picture. A sampler's preview has up to 512 pixels a side and some 50 kB; `SaveImageWebsocket` sends
#: whole pictures in the same frames, of which larger ones are left out.
LARGEST_PREVIEW: Final = 1 << 20
_LONGEST_METADATA: Final = 16 << 10
_LONGEST_ID: Final = 100
#: What a picture is, by its first bytes: what the frame says of it is not believed.
_KINDS: Final = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


class PreviewFrame(NamedTuple):
    """One preview.

    Args:
        prompt_id: whose it is; None if the frame does not say: then of the prompt that runs.
        graph_node: the id of the graph node that renders, as in the graph; None likewise.
        media_type: `image/jpeg` or `image/png`.
    """

    prompt_id: str | None
    graph_node: str | None
    media_type: str
    content: bytes


def preview_of(frame: bytes) -> PreviewFrame | None:
    """Read a binary frame: `u32 event`, for 1 `u32 format`, for 4 `u32 length` and so much JSON; then the picture.

    Returns:
        None for any other event, for a picture that is too large or neither JPEG nor PNG, and for what is not of
        this form.
    """
    try:
        event, number = struct.unpack_from(">II", frame)
        if event == _PREVIEW:
            return _checked(None, None, frame[8:])
        if event == _PREVIEW_WITH_METADATA and number <= _LONGEST_METADATA:
            about = read_json(frame[8 : 8 + number])
            return _checked(str(about["prompt_id"]), _graph_node(about), frame[8 + number :])
    except UNREADABLE:
        return None
    return None


def _checked(prompt_id: str | None, graph_node: str | None, content: bytes) -> PreviewFrame | None:
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is None or len(content) > LARGEST_PREVIEW:
        return None
    return PreviewFrame(prompt_id, graph_node, kind, content)


def _graph_node(about: dict[str, Any]) -> str | None:
    # A graph node that expands into others shows as itself.
    shown = about.get("display_node_id") or about.get("node_id")
    return None if shown is None else escaped(abridged(str(shown), most=_LONGEST_ID))
