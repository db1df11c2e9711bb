"""The retry schedule: pure arithmetic, fluentd's retry_state.rb."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import BufferOptions
from logpipe.engine.buffering.retry import Retry


def options(**given: Any) -> BufferOptions:
    return BufferOptions(retry_randomize=False, **given)


def waits(retry: Retry, failures: int) -> list[float]:
    """Fail at each planned moment and return the waits between them."""
    found = [retry.next_time - retry.start]
    for _ in range(failures):
        now = retry.next_time
        retry.failed(now)
        found.append(retry.next_time - now)
    return found


def test_waits_double_from_the_second_retry_on() -> None:
    """The first wait is retry_wait, then it is multiplied by the base for each step."""
    assert waits(Retry(options(retry_wait=1.0), 100.0), 4) == [1, 2, 4, 8, 16]


def test_waits_are_capped_and_periodic_waits_are_constant() -> None:
    """retry_max_interval caps; periodic never grows."""
    assert waits(Retry(options(retry_wait=1.0, retry_max_interval=5.0), 0.0), 4) == [1, 2, 4, 5, 5]
    assert waits(Retry(options(retry_wait=3.0, retry_type="periodic"), 0.0), 3) == [3, 3, 3, 3]


def test_jitter_is_an_eighth_at_most() -> None:
    """The random share is asked for and applied, but not to the first wait."""
    retry = Retry(BufferOptions(retry_wait=8.0), 0.0, uniform=lambda _low, high: high)
    assert waits(retry, 1) == [8, 18]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_max_times_counts_retries_and_not_attempts(most: int) -> None:
    """retry_max_times N is 1 + N attempts."""
    retry = Retry(options(retry_wait=1.0, retry_max_times=most), 0.0)
    attempts = 1
    while not retry.is_over(retry.next_time):
        retry.failed(retry.next_time)
        attempts += 1
    assert attempts == 1 + most


def test_the_timeout_gets_one_last_attempt() -> None:
    """The next attempt never passes start + retry_timeout, and the one at that moment is the last."""
    retry = Retry(options(retry_wait=4.0, retry_timeout=10.0), 0.0)
    retry.failed(4.0)
    assert retry.next_time == 10
    assert not retry.is_over(9.9)
    assert retry.is_over(10.0)


def test_retry_forever_never_ends() -> None:
    """retry_forever beats both limits."""
    retry = Retry(options(retry_forever=True, retry_timeout=1.0, retry_max_times=0), 0.0)
    assert not retry.is_over(1e9)


def test_secondary_is_wanted_after_its_share_of_the_time() -> None:
    """An attempt is planned for the moment the secondary takes over."""
    retry = Retry(options(retry_wait=1.0, retry_timeout=10.0), 0.0, has_secondary=True)
    moments = []
    while not retry.wants_secondary(retry.next_time):
        moments.append(retry.next_time)
        retry.failed(retry.next_time)
    assert retry.next_time == 8
    assert moments == [1, 3, 7]


def test_a_failure_before_the_planned_attempt_is_no_step() -> None:
    """Parallel flush threads fail together; the state counts them once, and waits from the last of them."""
    retry = Retry(options(retry_wait=10.0), 0.0)
    retry.failed(5.0)
    assert (retry.steps, retry.next_time) == (0, 15)
    retry.postpone(60.0)
    retry.failed(6.0)
    assert (retry.steps, retry.next_time) == (0, 60)


def test_waits_begin_anew_with_the_secondary() -> None:
    """Its own failures count from none, and the limit stays that of the whole."""
    retry = Retry(options(retry_wait=1.0, retry_timeout=100.0), 0.0, has_secondary=True)
    while not retry.wants_secondary(retry.next_time):
        retry.failed(retry.next_time)
    assert retry.next_time == 80
    assert waits(retry, 4)[1:] == [1, 2, 4, 8]
    assert not retry.is_over(retry.next_time)
    retry.failed(retry.next_time)
    assert retry.next_time == 100
    assert retry.is_over(100)


def test_periodic_waits_with_jitter_and_a_base_of_its_own() -> None:
    """Each setting of the formula has its say."""
    periodic = Retry(BufferOptions(retry_type="periodic", retry_wait=8.0), 0.0, uniform=lambda low, _high: low)
    assert waits(periodic, 3) == [8, 7, 7, 7]
    assert waits(Retry(options(retry_wait=2.0, retry_exponential_backoff_base=3.0), 0.0), 3) == [2, 6, 18, 54]
