"""safetensors files, which ComfyUI's `.latent` are, too (0.3.64, `SaveLatent`): header and length."""

from __future__ import annotations

from typing import Any, Final

from worker.foreign_data import read_json
from worker.media.formats.walker import Damaged, Found, Pass, Read, Walk

_LENGTH_BYTES: Final = 8

#: Limit of a header that is parsed. The format allows 100 MB; with a larger one the length is not checked.
_MOST_LIST_BYTES: Final = 8 << 20


def is_safetensors(head: bytes) -> bool:
    """Tell whether *head* may begin such a file: a header length below 4 GiB, then `{`."""
    return head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{" and head[4:_LENGTH_BYTES] == bytes(4)


def walk_safetensors() -> Walk:
    """Walk the header and the tensors; the last tensor must end at the end of the file."""
    length = int.from_bytes((yield Read(_LENGTH_BYTES, "its head")), "little")
    if length > _MOST_LIST_BYTES:
        yield Pass(length, "its list of tensors")
        yield Pass(None, "its tensors")
    else:
        yield Pass(_data_bytes((yield Read(length, "its list of tensors"))), "its tensors")
        if (yield Read(1, "what follows", or_end=True)):
            raise Damaged("it goes on after its last tensor")
    return Found("application/octet-stream")


def _data_bytes(text: bytes) -> int:
    try:
        tensors: dict[str, Any] = read_json(text)
        tensors.pop("__metadata__", None)
        ends = [int(tensor["data_offsets"][1]) for tensor in tensors.values()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        raise Damaged("its list of tensors makes no sense") from exc
    return max([0, *ends])
