"""A chunk that fails holds up its own key only; a peer that is down is tried once per pause."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from logpipe import Chunk, Host, Options, Output, RetryLater
from logpipe.testing import ManualClock, Pipeline, pipeline, settle

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"


class Topics(Output[Options], type="topics"):
    """Writes chunks by tag; some tags fail, or all do."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.bad: set[str] = set()
        self.down = False
        self.error: Exception = OSError("failed")
        self.attempts: list[tuple[float, str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self.written: list[tuple[str, int]] = []

    async def write(self, chunk: Chunk) -> None:
        tag = str(chunk.key.tag)
        self.attempts.append((self.host.clock.monotonic(), tag))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        if self.down or tag in self.bad:
            raise self.error
        self.written += [(tag, record["n"]) for batch in chunk.batches() for record in batch.records]

    def times(self, tag: str = "") -> list[float]:
        """Return the moments of attempts with a tag, or with any."""
        return [moment for moment, each in self.attempts if tag in {"", each}]


class Second(Topics, type="second"):
    """A secondary."""


def conf(buffer: str, more: str = "", arg: str = "tag") -> str:
    """Return a configuration without jitter."""
    section = f"<buffer {arg}>\nretry_randomize false\n{buffer}\n</buffer>"
    return f"<match **>\n@type topics\n{section}\n{more}\n</match>\n{QUIET}"


async def feed(running: Pipeline, tag: str, *numbers: int) -> None:
    """Feed records, each in a batch of its own."""
    for n in numbers:
        await running.feed(tag, {"n": n})


@pytest.mark.parametrize("mode", ["flush_mode immediate", "flush_interval 1s"])
@pytest.mark.parametrize("threads", [1, 3])
async def test_the_others_go_on_while_a_key_fails(mode: str, threads: int) -> None:
    """Within seconds, again and again, and in order."""
    clock = ManualClock()
    async with pipeline(conf(f"{mode}\nflush_thread_count {threads}"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad"}
        for n in range(10):
            await feed(running, "bad", n)
            await feed(running, "good", n)
            await feed(running, "fine", n)
            await clock.advance(3)
            assert ("good", n) in out.written
            assert ("fine", n) in out.written
        out.bad = set()
        await clock.advance(120)
        assert [n for tag, n in out.written if tag == "bad"] == list(range(10))
        assert [n for tag, n in out.written if tag == "good"] == list(range(10))


async def test_a_failing_key_waits_as_long_as_ever() -> None:
    """Its own pauses double, whatever the others do."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad"}
        await feed(running, "bad", 1)
        await settle()
        for n in range(40):
            await feed(running, "good", n)
            await clock.advance(1)
        moments = out.times("bad")
        assert [round(after - before) for before, after in pairwise(moments)] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("threads", [1, 4])
async def test_a_peer_that_is_down_is_tried_once_per_pause(threads: int) -> None:
    """Not once per chunk or key, and its pauses are those of one chunk."""
    clock = ManualClock()
    async with pipeline(conf(f"flush_mode immediate\nflush_thread_count {threads}"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.down = True
        await feed(running, "t0", 0)
        await settle()
        for n in range(50):
            await feed(running, f"t{n}", 100 + n)
        await clock.advance(62)
        assert [round(moment - out.attempts[0][0]) for moment in out.times()] == [0, 1, 3, 7, 15, 31]
        out.down = False
        await clock.advance(32)
        assert len(out.written) == 51


async def test_a_new_key_is_not_held_up_by_a_night_of_failures() -> None:
    """One key that has failed for hours says nothing about the peer."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad"}
        await feed(running, "bad", 1)
        await settle()
        await clock.advance(20_000)
        await feed(running, "good", 1)
        await clock.advance(1)
        assert out.written == [("good", 1)]


async def test_without_keys_nothing_overtakes() -> None:
    """All chunks have the same key then: the oldest is tried until it goes."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate", arg=""), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.down = True
        await feed(running, "t", *range(5))
        await clock.advance(10)
        out.down = False
        await clock.advance(20)
        assert [n for _, n in out.written] == list(range(5))


async def test_the_limit_judges_the_chunk_that_failed() -> None:
    """What waits behind it, and what has another key, is not given up with it."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate\nretry_max_times 2"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad"}
        await feed(running, "bad", 1, 2)
        await feed(running, "good", 1)
        await settle()
        await clock.advance(1)
        await clock.advance(2.5)
        await running.wait_for(lambda: running.metric("given_up_records") == 1)
        out.bad = set()
        await clock.advance(10)
        assert sorted(out.written) == [("bad", 2), ("good", 1)]
    (letter,) = running.dead_letters()
    assert (letter.tag, letter.record) == ("bad", {"n": 1})


async def test_what_waits_behind_a_chunk_that_is_given_up_begins_anew() -> None:
    """At once, with as many attempts and pauses as it would have had alone."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate\nretry_max_times 2"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad"}
        await feed(running, "bad", 1, 2)
        await feed(running, "good", 1)
        await settle()
        for attempts in (4, 6):
            await clock.advance(1)
            await clock.advance(2)
            await running.wait_for(lambda attempts=attempts: len(out.times("bad")) >= attempts)
            await settle()
        await running.wait_for(lambda: running.metric("given_up_records") == 2)
        assert [round(after - before) for before, after in pairwise(out.times("bad"))] == [1, 2, 0, 1, 2]


async def test_retry_forever_with_a_key_that_never_works() -> None:
    """It waits for ever by itself; the peer's being away in between changes nothing about that."""
    clock = ManualClock()
    async with pipeline(
        conf("flush_mode immediate\nretry_forever true\nretry_max_interval 4s"), Topics, clock=clock
    ) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad", "worse"}
        await feed(running, "bad", 1)
        await feed(running, "worse", 1)
        out.down = True
        await feed(running, "good", 1)
        await clock.advance(60)
        out.down = False
        await clock.advance(20)
        assert out.written == [("good", 1)]
        assert running.metric("given_up_records") == 0
        out.bad = set()
        await clock.advance(10)
        assert len(out.written) == 3


async def test_the_secondary_takes_the_key_that_fails() -> None:
    """And no other."""
    clock = ManualClock()
    more = "<secondary>\n@type second\n</secondary>"
    async with pipeline(conf("flush_mode immediate\nretry_timeout 10s", more), Topics, Second, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        second: Second = running.plugin(Second)
        out.bad = {"bad"}
        await feed(running, "bad", 1)
        await settle()
        for n in range(9):
            await clock.advance(1)
            await feed(running, "good", n)
        await clock.advance(1)
        assert second.written == [("bad", 1)]
        assert [n for tag, n in out.written if tag == "good"] == list(range(9))


async def test_a_peer_that_asks_for_patience_is_left_alone() -> None:
    """Also by other keys, as long as none has gone through since."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.down, out.error = True, RetryLater("busy", after=30)
        await feed(running, "a", 1)
        await feed(running, "b", 1)
        await clock.advance(29)
        assert len(out.attempts) == 1
        out.down = False
        await clock.advance(2)
        assert len(out.written) == 2


async def test_stopping_delivers_what_does_not_fail() -> None:
    """A key that fails keeps its receipts; the others are delivered."""
    async with pipeline(conf("flush_interval 1h"), Topics) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad"}
        for n in range(3):
            for tag in ("bad", "good", "fine"):
                await feed(running, tag, n)
    assert len(out.written) == 6
    assert len(out.times("bad")) == 1


async def test_stopping_with_a_peer_that_is_down_asks_twice_at_most() -> None:
    """A hundred keys are not a hundred attempts."""
    async with pipeline(conf("flush_interval 1h"), Topics) as running:
        out: Topics = running.plugin(Topics)
        out.down = True
        for n in range(100):
            await feed(running, f"t{n}", n)
    assert len(out.attempts) == 2


async def test_what_fluentd_shows_of_retries_is_shown() -> None:
    """Steps and the next attempt of what fails; nothing when all is well again."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate"), Topics, clock=clock) as running:
        out: Topics = running.plugin(Topics)
        out.bad = {"bad"}
        await feed(running, "good", 0)
        await feed(running, "bad", 1)
        await settle()

        def shown() -> Any:
            state = running.graph.world.monitor
            assert state is not None
            return next(each for each in state.plugins() if each.type == "topics").retry()

        assert shown().steps == 0
        await feed(running, "good", 1)
        await clock.advance(4)
        assert shown().steps == 2
        assert shown().next_time > clock.now()
        out.bad = set()
        await clock.advance(10)
        assert shown() is None
