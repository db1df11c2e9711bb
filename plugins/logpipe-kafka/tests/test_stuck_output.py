"""An output whose broker takes connections and never says a word: its own buffer fills, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from logpipe.testing import pipeline, wait_for
from tests.services.feeding import Feeder, stop_quickly

LIMIT = 100_000
CONF = """
<match stuck>
  @type {output}
  brokers 127.0.0.1:{port}
  default_topic t
  <buffer>
    flush_interval 0.1
    chunk_limit_size 20k
    total_limit_size 100000
    flush_thread_count {writers}
    overflow_action {action}
  </buffer>
</match>
<match **>
  @type test
</match>
"""


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter]]]:
    """Take connections on a port, and say nothing on them."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        for writer in taken:
            writer.transport.abort()
        server.close()


@pytest.mark.parametrize("writers", [1, 4])
@pytest.mark.parametrize("output", ["kafka2", "kafka_buffered"])
async def test_others_keep_pace(output: str, writers: int) -> None:
    """Its inputs wait at the limit of its buffer; others pass a thousand batches; stopping does not wait for it."""
    async with black_hole() as (port, taken):
        conf = CONF.format(output=output, port=port, writers=writers, action="block")
        async with pipeline(conf) as running:
            stuck, other = Feeder(running), Feeder(running)
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(feed_for_ever(stuck))
                await wait_for(lambda: running.metric("buffer_total_queued_size") >= LIMIT, "the buffer to be full")
                fed = stuck.fed
                for n in range(1000):
                    await other.feed({"n": n}, tag="other")
                await wait_for(lambda: taken, "the stuck one to connect")
                assert (other.settled, stuck.settled, stuck.fed) == (1000, 0, fed)
                assert running.metric("buffer_total_queued_size") < LIMIT + 2 * 10_000
                feeding.cancel()
            stop_quickly(running)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def feed_for_ever(feeder: Feeder) -> None:
    """Feed batches of ten kilobytes."""
    n = 0
    while True:
        await feeder.feed(*({"n": n, "text": "x" * 1000} for _ in range(10)), tag="stuck")
        n += 1
