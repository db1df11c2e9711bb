"""When a failing output is tried again: pure arithmetic, so that it is tested without a clock.

Rules: fluentd's plugin_helper/retry_state.rb. The first retry comes `retry_wait` after the first failure, without
jitter; after each later failure the wait is `retry_wait` times the base to the number of steps, capped, with jitter;
the moment `retry_timeout` after the first failure gets one last attempt.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from logpipe.config.buffer_options import BufferOptions

JITTER = 0.125


@dataclass(slots=True)
class Retry:
    """The state of one output from its first failure to its next success; times are a monotonic clock's seconds."""

    options: BufferOptions
    start: float
    has_secondary: bool = False
    uniform: Callable[[float, float], float] = random.uniform
    steps: int = field(default=0, init=False)
    next_time: float = field(default=0.0, init=False)
    _steps_before_secondary: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.next_time = self._clamped(self.start + self.options.retry_wait)

    def failed(self, now: float) -> None:
        """Count one more failure and plan the next attempt."""
        is_planned = now >= self.next_time
        if is_planned:
            self.steps += 1
            if self._steps_before_secondary is None and self.wants_secondary(now):
                self._steps_before_secondary = self.steps
        steps = self.steps - (self._steps_before_secondary or 0)
        moment = self._clamped(now + self._jittered(self._wait(steps)))
        # compat: a parallel thread's failure before the planned attempt is no step of its own, but puts it off
        self.next_time = moment if is_planned else max(moment, self.next_time)

    def postpone(self, until: float) -> None:
        """Do not try before `until`: the peer said how long to wait."""
        self.next_time = max(self.next_time, until)

    def is_over(self, now: float) -> bool:
        """Return whether the attempt that just failed was the last one."""
        if self.options.retry_forever:
            return False
        if self.options.retry_max_times is not None and self.steps >= self.options.retry_max_times:
            return True
        return now >= self.start + self.options.retry_timeout

    def wants_secondary(self, now: float) -> bool:
        """Return whether the next attempt goes to `<secondary>`."""
        return self.has_secondary and not self.options.retry_forever and now >= self._secondary_time()

    def _wait(self, steps: int) -> float:
        wait = float(self.options.retry_wait)
        if self.options.retry_type == "exponential_backoff":
            try:
                wait *= self.options.retry_exponential_backoff_base**steps
            except OverflowError:
                wait = float(self.options.retry_timeout)
        if self.options.retry_max_interval is not None:
            wait = min(wait, self.options.retry_max_interval)
        return wait

    def _jittered(self, wait: float) -> float:
        return wait + wait * JITTER * self.uniform(-1, 1) if self.options.retry_randomize else wait

    def _clamped(self, moment: float) -> float:
        if self.options.retry_forever:
            return moment
        secondary = self._secondary_time()
        if self.has_secondary and moment > secondary > self.start and self.next_time < secondary:
            return secondary
        return min(moment, self.start + self.options.retry_timeout)

    def _secondary_time(self) -> float:
        total = float(self.options.retry_timeout)
        if self.options.retry_max_times is not None:
            total = min(total, sum(self._wait(step) for step in range(min(self.options.retry_max_times, 1000))))
        return self.start + total * self.options.retry_secondary_threshold
