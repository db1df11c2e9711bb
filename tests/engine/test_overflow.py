"""A full buffer that drops its oldest chunk does so for an output that fails, not for one that delivers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from logpipe import Chunk, Host, Options, Output, Receipt
from logpipe.testing import ManualClock, pipeline, settle

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"
BUFFER = "total_limit_size 100\nchunk_limit_size 100\noverflow_action drop_oldest_chunk\nretry_randomize false"


class Gate(Output[Options], type="gate"):
    """Writes when it is let."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.open = asyncio.Event()
        self.error: Exception | None = None
        self.written: list[int] = []

    async def write(self, chunk: Chunk) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.written += [record["n"] for batch in chunk.batches() for record in batch.records]


def conf(more: str = "", arg: str = "") -> str:
    """Return a configuration with a small buffer."""
    return f"<match **>\n@type gate\n<buffer {arg}>\n{BUFFER}\n{more}\n</buffer>\n</match>\n{QUIET}"


async def test_a_backlog_is_delivered_whole(tmp_path: Path) -> None:
    """Reading is faster than writing files, and waits for it."""
    lines = 50_000
    (tmp_path / "app.log").write_text("".join(f"line {n:06d} {'x' * 60}\n" for n in range(lines)))
    text = f"""
      <source>
        @type tail
        path {tmp_path}/app.log
        read_from_head true
        tag app
        <parse>
          @type none
        </parse>
      </source>
      <match app>
        @type file
        path {tmp_path}/out
        append true
        <buffer []>
          @type memory
          flush_mode interval
          flush_interval 1s
          chunk_limit_size 100k
          total_limit_size 1m
          overflow_action drop_oldest_chunk
        </buffer>
        <format>
          @type single_value
        </format>
      </match>
      {QUIET}
    """
    async with pipeline(text) as running:
        await running.wait_for(
            lambda: running.metric("flushed_records") + running.metric("dropped_records") == lines, "all lines"
        )
        assert running.metric("drop_oldest_chunk_count") == 0
    found = [line for path in sorted(tmp_path.glob("out*")) for line in path.read_text().splitlines()]
    assert len(found) == lines


async def test_an_output_that_delivers_is_waited_for() -> None:
    """Also one that has been slow, as long as it is not for too long."""
    async with pipeline(conf("flush_mode immediate"), Gate) as running:
        out: Gate = running.plugin(Gate)
        feeding = asyncio.ensure_future(_feed(running, 6))  # noqa: TID251 - a test has no host
        await settle()
        assert not feeding.done()
        out.open.set()
        await feeding
        await running.wait_for(lambda: out.written == list(range(6)))
        assert running.metric("drop_oldest_chunk_count") == 0


async def test_an_output_that_begins_to_fail_is_not_waited_for() -> None:
    """Who waits hears of it."""
    async with pipeline(conf("flush_mode immediate\nretry_wait 1h"), Gate) as running:
        out: Gate = running.plugin(Gate)
        out.error = OSError("down")
        feeding = asyncio.ensure_future(_feed(running, 6))  # noqa: TID251 - a test has no host
        await settle()
        assert not feeding.done()
        out.open.set()
        await feeding
        assert running.metric("drop_oldest_chunk_count") > 0


async def test_an_output_that_never_answers_is_not_waited_for_again() -> None:
    """Patience ends once, and not once for each batch."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate"), Gate, clock=clock) as running:
        out: Gate = running.plugin(Gate)
        await running.feed("a", {"n": 0, "pad": "x" * 40})
        await running.feed("a", {"n": 1, "pad": "x" * 40})
        await clock.advance(1)
        outlet: Any = running.graph.outlets[0]
        outlet.staging._patient_until = clock.monotonic() - 1  # as if it had been waited for
        for n in range(2, 6):
            await running.feed("a", {"n": n, "pad": "x" * 40})
        assert running.metric("drop_oldest_chunk_count") > 0
        out.open.set()
        await running.wait_for(lambda: out.written[-1:] == [5])


async def test_what_is_staged_gives_way() -> None:
    """Many keys that fill a buffer which nothing flushes by itself: one after the other is delivered."""
    async with pipeline(conf("flush_mode lazy", arg="tag"), Gate) as running:
        out: Gate = running.plugin(Gate)
        out.open.set()
        for n in range(20):
            await running.feed(f"t{n}", {"n": n, "pad": "x" * 20})
        assert running.metric("drop_oldest_chunk_count") == 0


async def _feed(running: Any, count: int) -> None:
    for n in range(count):
        receipt = Receipt(lambda: None)
        await running.feed("a", {"n": n, "pad": "x" * 40}, receipt=receipt)
        receipt.release()
