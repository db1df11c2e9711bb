"""The queue of chunks in small worlds: whatever fails, and whenever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from logpipe import BufferOptions, ChunkKey
from logpipe.engine.buffering.chunk_queue import ChunkQueue


@dataclass(frozen=True)
class Stub:
    """As much of a chunk as the queue looks at."""

    id: str
    key: ChunkKey


def queue_of(**given: Any) -> ChunkQueue:
    """Return a queue without jitter."""
    return ChunkQueue(BufferOptions(retry_randomize=False, **given))


@given(data=st.data(), threads=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_stuck_or_out_of_order(data: Any, threads: int) -> None:
    """Keys that fail for a while and a peer that is down for a while: in the end all is delivered, once."""
    queue: Any = queue_of(retry_forever=True, retry_max_interval=8.0)
    keys = [ChunkKey(tag=name) for name in "abc"]
    chunks = [Stub(str(n), data.draw(st.sampled_from(keys))) for n in range(data.draw(st.integers(1, 12)))]
    bad_until = {key: data.draw(st.integers(0, 40)) for key in keys}
    down_from = data.draw(st.integers(0, 20))
    down_until = down_from + data.draw(st.integers(0, 40))
    arrives = sorted(data.draw(st.integers(0, 30)) for _ in chunks)
    now = 0.0
    delivered: list[Stub] = []
    flying: list[Stub] = []
    waiting = list(zip(arrives, chunks, strict=True))
    while len(delivered) < len(chunks):
        while waiting and waiting[0][0] <= now:
            queue.append(waiting.pop(0)[1])
        while len(flying) < threads and (chunk := queue.take(now)) is not None:
            flying.append(chunk)
        if flying:
            chunk = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            if now < bad_until[chunk.key] or down_from <= now < down_until:
                queue.failed(chunk, now, took=0.0, by_secondary=False, after=None)
                queue.put_back(chunk)
            else:
                queue.delivered(chunk, by_secondary=False)
                queue.purge(chunk)
                delivered.append(chunk)
            continue
        wait = queue.wait(now)
        assert wait is not None or waiting, "what is queued is due some time"
        assert wait is None or wait > 0
        next_arrival = waiting[0][0] - now if waiting else float("inf")
        now += min(next_arrival, float("inf") if wait is None else wait)
        assert now < 10_000
    assert sorted(chunk.id for chunk in delivered) == sorted(chunk.id for chunk in chunks)
    assert len(queue) == 0
    assert queue.retry is None
    if threads == 1:
        for key in keys:
            numbers = [int(chunk.id) for chunk in delivered if chunk.key == key]
            assert numbers == sorted(numbers)


@given(keys=st.integers(1, 30), chunks=st.integers(1, 60))
@settings(max_examples=20, deadline=None)
def test_a_peer_that_is_down_costs_as_many_attempts_as_one_chunk(keys: int, chunks: int) -> None:
    """However many keys and chunks wait."""
    queue: Any = queue_of()
    for n in range(chunks):
        queue.append(Stub(str(n), ChunkKey(tag=str(n % keys))))
    moments: list[float] = []
    now = 0.0
    while now < 500:
        if (chunk := queue.take(now)) is not None:
            moments.append(now)
            queue.failed(chunk, now, took=0.0, by_secondary=False, after=None)
            queue.put_back(chunk)
        else:
            now += queue.wait(now)
    assert moments == [0, 1, 3, 7, 15, 31, 63, 127, 255]


def test_pauses_begin_anew_when_a_chunk_is_given_up() -> None:
    """Those of a peer that may be down as well: what waits behind it was not tried yet."""
    queue: Any = queue_of()
    first, second = Stub("1", ChunkKey(tag="a")), Stub("2", ChunkKey(tag="a"))
    queue.append(first)
    queue.append(second)
    for now, pause in ((0.0, 1.0), (1.0, 2.0), (3.0, 4.0)):
        assert queue.take(now) is first
        queue.failed(first, now, took=0.0, by_secondary=False, after=None)
        queue.put_back(first)
        assert queue.wait(now) == pause
    assert queue.take(7.0) is first
    queue.gave_up(first, 7.0)
    assert queue.take(7.0) is None
    assert queue.wait(7.0) == 1.0
    assert queue.take(8.0) is second
