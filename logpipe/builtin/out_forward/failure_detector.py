"""Judges from the times of heartbeats whether a server is there: fluentd's plugin/out_forward/failure_detector.rb."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

SAMPLES: Final = 1000
_FACTOR: Final = 1 / math.log(10)


class FailureDetector:
    """Remembers how far apart heartbeats were; times are in seconds of a clock that never jumps.

    Args:
        interval: of heartbeats.
        hard_timeout: after which silence a server is away, however its heartbeats were.
        now: when it begins.
    """

    def __init__(self, interval: float, hard_timeout: float, now: float) -> None:
        self._interval = interval
        self._hard_timeout = hard_timeout
        self._last = now
        self._gaps = deque([interval], SAMPLES)

    @property
    def samples(self) -> int:
        """How many heartbeats there were, since the server was away."""
        return len(self._gaps)

    def add(self, now: float) -> None:
        """Take a heartbeat."""
        self._gaps.append(now - self._last if self._gaps else self._interval)
        self._last = now

    def is_silent(self, now: float) -> bool:
        """Return whether the hard timeout has passed."""
        return now - self._last > self._hard_timeout

    def phi(self, now: float) -> float:
        """Return how unlikely the silence is, as a negative power of ten: newer gaps count for more."""
        if not self._gaps:
            return 0.0
        count = len(self._gaps)
        mean = sum(gap * weight for weight, gap in enumerate(self._gaps, 1)) / (count * (count + 1) / 2)
        # as if heartbeats came every second
        mean = max(mean - self._interval + 1, 1e-6)
        return _FACTOR * (now - self._last - self._interval + 1) / mean

    def clear(self, now: float) -> None:
        """Forget all: the server is away."""
        self._gaps.clear()
        self._last = now
