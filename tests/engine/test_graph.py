"""Who is started before whom, who is stopped after whom, and what is waited for in between."""

from __future__ import annotations

import asyncio
import gc
import warnings

from logpipe import Chunk, EventBatch, Filter, Host, Input, Options, Output, Record, Time
from logpipe.testing import ManualClock, pipeline, settle

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"
SOURCE = "<source>\n@type ordered\n</source>\n"
THROUGH = "<filter **>\n@type ordered\n</filter>\n<match **>\n@type ordered\n</match>\n"
RESCUED = "<label @ERROR>\n<match **>\n@type slow\n</match>\n</label>\n"

done: list[str] = []


class OrderedInput(Input[Options], type="ordered"):
    """Emits one event as soon as it is started."""

    async def start(self) -> None:
        done.append("input starts")

    async def run(self) -> None:
        await self.host.emit(EventBatch("t", [0], [{"n": 1}]))

    async def stop(self) -> None:
        done.append("input stops")


class OrderedFilter(Filter[Options], type="ordered"):
    """Lets everything pass."""

    async def start(self) -> None:
        done.append("filter starts")

    def filter(self, _tag: str, _time: Time, record: Record) -> Record:
        return record

    async def stop(self) -> None:
        done.append("filter stops")


class OrderedOutput(Output[Options], type="ordered"):
    """Finds out what is wrong with its events when it is to deliver the last of them."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.held: list[EventBatch] = []

    async def start(self) -> None:
        done.append("output starts")

    async def process(self, batch: EventBatch) -> None:
        self.held.append(batch)

    async def flush(self) -> None:
        for batch in self.held:
            for time, record in batch.events():
                self.host.emit_error(batch.tag, time, record, ValueError("too late"), receipt=batch.receipt)

    async def stop(self) -> None:
        done.append("output stops")


async def test_no_event_meets_a_stage_that_is_not_there() -> None:
    """Starting goes against the way of events, stopping along it, but for inputs: they still hear what has settled."""
    done.clear()
    clock = ManualClock()
    async with pipeline(SOURCE + THROUGH + QUIET, OrderedInput, OrderedFilter, OrderedOutput, clock=clock) as running:
        await running.wait_for(lambda: running.plugin(OrderedOutput).held)
    starts, stops = ["output", "filter", "input"], ["filter", "output", "input"]
    assert done == [*(f"{stage} starts" for stage in starts), *(f"{stage} stops" for stage in stops)]


class Slow(Output[Options], type="slow"):
    """Lets others have some turns before it takes anything."""

    async def process(self, batch: EventBatch) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        done.extend(f"error {record['n']} is taken" for record in batch.records)

    async def stop(self) -> None:
        done.append("error output stops")


async def test_errors_that_are_found_while_draining_are_delivered() -> None:
    """`@ERROR` takes them before anything is stopped."""
    async with pipeline(THROUGH + RESCUED + QUIET, OrderedFilter, OrderedOutput, Slow) as running:
        await running.feed("t", {"n": 1}, {"n": 2})
        done.clear()
    assert sorted(done[:2]) == ["error 1 is taken", "error 2 is taken"]
    assert "error output stops" in done[2:]


class Gate(Output[Options], type="gate"):
    """Writes when it may."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.entered, self.open = asyncio.Event(), asyncio.Event()

    async def write(self, chunk: Chunk) -> None:
        self.entered.set()
        await self.open.wait()
        done.extend(f"{record['n']} is written" for batch in chunk.batches() for record in batch.records)

    async def stop(self) -> None:
        done.append("output stops")


async def test_what_is_being_written_is_waited_for_and_nothing_else() -> None:
    """The drain ends with the write that had begun before, not with shutdown_timeout."""
    done.clear()
    text = "<system>\nshutdown_timeout 10\n</system>\n<match **>\n@type gate\n<buffer>\nflush_mode immediate\n"
    async with pipeline(f"{text}</buffer>\n</match>\n{QUIET}", Gate) as running:
        gate: Gate = running.plugin(Gate)
        await running.feed("t", {"n": 1})
        await gate.entered.wait()
        running.graph.request_stop()
        await running.wait_for(lambda: any(task.get_name() == "drain" for task in asyncio.all_tasks()))
        await settle()
        gate.open.set()
    assert done == ["1 is written", "output stops"]
    assert not any("shutdown_timeout" in text for text in running.log.texts("warning"))


class LateTask(Output[Options], type="late_task"):
    """Starts a task when nothing runs any more."""

    async def process(self, batch: EventBatch) -> None:
        """Take everything."""

    async def stop(self) -> None:
        self.host.start_task(self._never(), name="late")

    async def _never(self) -> None:
        raise AssertionError("it runs")


async def test_a_task_that_is_ended_before_it_began() -> None:
    """Nothing is said of it: Python would warn of a coroutine that nobody awaited."""
    with warnings.catch_warnings(record=True) as said:
        async with pipeline("<match **>\n@type late_task\n</match>", LateTask) as running:
            await running.feed("app", {"n": 1})
        del running
        gc.collect()
    assert [str(warning.message) for warning in said if "never awaited" in str(warning.message)] == []
