"""Commands as hiredis writes them, and text that is no UTF-8, too.

It goes where no other text would: a filter of the command line, or what a node said, may hold half a character. redis-py's
own writer takes `encoding_errors` for that; hiredis raises UnicodeEncodeError, which is no error of Redis'.
"""

from __future__ import annotations

from typing import Any

from redis.connection import HiredisRespSerializer


class CommandPacker(HiredisRespSerializer):
    """Writes commands; half characters as `\\udcff`, in letters."""

    def pack(self, *args: Any) -> list[bytes]:
        """Return a command as it is sent.

        Raises:
            DataError: an argument is neither text nor bytes nor a number.
        """
        try:
            return self._packed(*args)
        except UnicodeEncodeError:
            return self._packed(*(_encoded(arg) if isinstance(arg, str) else arg for arg in args))

    def _packed(self, *args: Any) -> list[bytes]:
        packed: list[bytes] = super().pack(*args)
        return packed


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
