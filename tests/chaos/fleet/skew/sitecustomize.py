"""A wrong clock for one process: Python imports this first when its folder is on the path."""

from __future__ import annotations

import os
import time

_SKEW_S = float(os.environ.get("CHAOS_SKEW_S", "0"))
_right_time, _right_time_ns = time.time, time.time_ns

time.time = lambda: _right_time() + _SKEW_S
time.time_ns = lambda: _right_time_ns() + int(_SKEW_S * 1_000_000_000)
