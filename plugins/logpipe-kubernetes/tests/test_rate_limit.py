"""Rates and pauses."""

import asyncio

import pytest

from logpipe.testing import ManualClock
from logpipe_kubernetes.rate_limit import LONGEST_PAUSE, Backoff, CircuitBreaker, TokenBucket


async def test_a_bucket_lets_a_burst_through_and_then_its_rate(clock: ManualClock) -> None:
    """Who comes after the burst waits for the turn."""
    bucket = TokenBucket(clock, rate=2, burst=3)
    through = 0

    async def come() -> None:
        nonlocal through
        await bucket.wait()
        through += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(7):
            group.create_task(come())
        await clock.advance(0)
        assert through == 3
        await clock.advance(1)
        assert through == 5
        await clock.advance(1)
        assert through == 7


def test_pauses_grow_to_a_limit_and_begin_again_after_a_reset() -> None:
    """Each is between a half and all of what it may be."""
    backoff = Backoff(first=1, factor=2, longest=10)
    for longest in (1, 2, 4, 8, 10, 10):
        assert longest / 2 <= backoff.pause() <= longest
    backoff.reset()
    assert backoff.pause() <= 1


def test_a_server_that_asks_for_patience_gets_it() -> None:
    """No less than it asks for, and not for ever."""
    backoff = Backoff(first=1, factor=2, longest=10)
    assert 30 <= backoff.pause(30) <= 33
    assert backoff.pause(1e9) == LONGEST_PAUSE


@pytest.mark.parametrize(("first", "factor"), [(0, 0), (-1, -2)])
def test_nonsense_settings_still_pause(first: float, factor: float) -> None:
    """An interval of 0 must not become a storm."""
    backoff = Backoff(first=first, factor=factor)
    assert all(backoff.pause() >= 0.05 for _ in range(5))


async def test_a_gate_lets_one_call_try_while_the_server_is_ill(clock: ManualClock) -> None:
    """After a failure nobody passes until the pause is over, and then one at a time."""
    breaker = CircuitBreaker(clock)
    assert [breaker.enter(), breaker.enter()] == [True, True]
    pause = breaker.failed(5)
    assert [breaker.healthy, breaker.enter()] == [False, False]
    await clock.advance(pause)
    assert [breaker.enter(), breaker.enter()] == [True, False]
    assert breaker.succeeded()
    assert [breaker.healthy, breaker.enter(), breaker.enter()] == [True, True, True]


async def test_calls_that_were_under_way_count_as_one_failure(clock: ManualClock) -> None:
    """Ten requests that fail together lengthen the pause once."""
    breaker = CircuitBreaker(clock)
    first = breaker.failed(5)
    assert [breaker.failed(5) for _ in range(9)] == [first] * 9
