"""What stages raise that is no Exception: it stops nothing that nobody has asked to stop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logpipe import (
    AsyncFilter,
    Chunk,
    EventBatch,
    Filter,
    Host,
    Input,
    Options,
    Output,
    Parsed,
    Parser,
    Receipt,
    Record,
    Time,
    param,
)
from logpipe.testing import ManualClock, pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


def _cancelled() -> None:
    raise asyncio.CancelledError("a library's own")


RAISES: dict[str, Callable[[], object]] = {"cancelled": _cancelled, "exit": sys.exit}


class OddOptions(Options):
    """Settings of the stages below."""

    how: str = param("What to raise.", default="cancelled")
    at: str = param("When.", default="")


class OddFilter(Filter[OddOptions], type="odd"):
    """Raises on a record that is marked."""

    def filter(self, _tag: str, _time: Time, record: Record) -> Record | None:
        if record.get("bad"):
            RAISES[self.options.how]()
        return record


class OddWholeFilter(Filter[OddOptions], type="odd_whole"):
    """Raises on a batch with a record that is marked."""

    def process(self, batch: EventBatch) -> EventBatch:
        if any(record.get("bad") for record in batch.records):
            RAISES[self.options.how]()
        return batch


class OddAsyncFilter(AsyncFilter[OddOptions], type="odd_async"):
    """Awaits what is cancelled."""

    async def process(self, batch: EventBatch) -> EventBatch:
        if any(record.get("bad") for record in batch.records):
            RAISES[self.options.how]()
        return batch


class OddOutput(Output[OddOptions], type="odd"):
    """Raises once, wherever it is told to."""

    def __init__(self, options: OddOptions, host: Host) -> None:
        super().__init__(options, host)
        self._left = 1
        self.got: list[Record] = []

    def _once(self, at: str) -> None:
        if self.options.at == at and self._left:
            self._left = 0
            RAISES[self.options.how]()

    async def start(self) -> None:
        self._once("start")
        self.host.start_task(self._work(), name="work")

    async def _work(self) -> None:
        self._once("task")

    async def process(self, batch: EventBatch) -> None:
        self._once("process")
        self.got += batch.records

    async def write(self, chunk: Chunk) -> None:
        self._once("write")
        self.got += [record for batch in chunk.batches() for record in batch.records]

    async def flush(self) -> None:
        self._once("flush")

    async def stop(self) -> None:
        self._once("stop")


class Keeping(Output[Options], type="keeping"):
    """Keeps what its buffer delivers."""

    got: list[Record]

    async def start(self) -> None:
        self.got = []

    async def write(self, chunk: Chunk) -> None:
        self.got += [record for batch in chunk.batches() for record in batch.records]


class OddInput(Input[OddOptions], type="odd"):
    """Raises at its first run, and emits at the second."""

    async def start(self) -> None:
        self.runs = 0

    async def run(self) -> None:
        self.runs += 1
        if self.runs == 1:
            RAISES[self.options.how]()
        await self.host.emit(EventBatch("a", [0], [{"run": self.runs}]))


@pytest.mark.parametrize("how", RAISES)
@pytest.mark.parametrize("kind", ["odd", "odd_whole", "odd_async"])
async def test_a_filter_costs_what_it_failed_on(kind: str, how: str) -> None:
    """The events are dead letters, the next ones go on, and the receipt settles."""
    text = f"{QUIET}<filter **>\n@type {kind}\nhow {how}\n</filter>\n<match **>\n@type test\n</match>\n"
    settled: list[int] = []
    async with pipeline(text, OddFilter, OddWholeFilter, OddAsyncFilter) as running:
        receipt = Receipt(lambda: settled.append(1))
        await running.feed("a", {"bad": 1}, receipt=receipt)
        receipt.release()
        await running.feed("a", {"n": 1})
        assert running.records() == [{"n": 1}]
        await running.wait_for(lambda: settled)
    (letter,) = running.dead_letters()
    assert letter.error_class == "UnexpectedExit"


@pytest.mark.parametrize("how", RAISES)
async def test_a_direct_output_refuses_a_batch(how: str) -> None:
    """The input is told, as of any other error."""
    text = f"{QUIET}<match **>\n@type odd\nhow {how}\nat process\n</match>\n"
    async with pipeline(text, OddOutput) as running:
        with pytest.raises(Exception, match=r"CancelledError, and nobody|SystemExit"):
            await running.feed("a", {"n": 1})
        await running.feed("a", {"n": 1})
        assert running.plugin(OddOutput).got == [{"n": 1}]


@pytest.mark.parametrize("how", RAISES)
async def test_a_store_whose_errors_are_ignored_keeps_no_other_from_going_on(how: str) -> None:
    """This one is no exception."""
    stores = f"<store ignore_error>\n@type odd\nhow {how}\nat process\n</store>\n<store>\n@type test\n</store>\n"
    async with pipeline(f"{QUIET}<match **>\n@type copy\n{stores}</match>\n", OddOutput) as running:
        await running.feed("a", {"n": 1})
        assert running.records() == [{"n": 1}]


@pytest.mark.parametrize("how", RAISES)
async def test_a_buffered_output_tries_again(how: str) -> None:
    """Its chunk follows the retry settings."""
    buffer = "<buffer>\nflush_mode immediate\nretry_wait 0\n</buffer>\n"
    text = f"{QUIET}<match **>\n@type odd\nhow {how}\nat write\n{buffer}</match>\n"
    async with pipeline(text, OddOutput) as running:
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: running.plugin(OddOutput).got)
        assert running.metric("retry_count") == 1


@pytest.mark.parametrize("how", RAISES)
async def test_an_input_runs_again(how: str) -> None:
    """After its pause, with the reason in the log."""
    text = f"{QUIET}<source>\n@type odd\nhow {how}\n</source>\n<match **>\n@type test\n</match>\n"
    clock = ManualClock()
    async with pipeline(text, OddInput, clock=clock) as running:
        await running.wait_for(lambda: running.log.texts("error"))
        await clock.advance(2)
        await running.wait_for(running.records)
        assert running.records() == [{"run": 2}]
    assert "input failed; it starts again in 1 seconds" in running.log.texts("error")[0]


@pytest.mark.parametrize("how", RAISES)
async def test_a_task_that_ends_so_is_said(how: str) -> None:
    """Nobody would find out otherwise."""
    text = f"{QUIET}<match **>\n@type odd\nhow {how}\nat task\n</match>\n"
    async with pipeline(text, OddOutput) as running:
        await running.wait_for(lambda: running.log.texts("error"))
    assert "unexpected error in task work" in running.log.texts("error")[0]


@pytest.mark.parametrize("how", RAISES)
async def test_a_start_that_ends_so_is_an_error(how: str) -> None:
    """The worker says why it does not run."""
    text = f"{QUIET}<match **>\n@type odd\nhow {how}\nat start\n</match>\n"
    with pytest.raises(ExceptionGroup) as caught:
        async with pipeline(text, OddOutput):
            pass
    (said,) = _texts(caught.value)
    assert "CancelledError, and nobody" in said or "SystemExit" in said


@pytest.mark.parametrize("at", ["flush", "stop"])
@pytest.mark.parametrize("how", RAISES)
async def test_the_others_are_delivered_and_stopped_all_the_same(how: str, at: str) -> None:
    """One output's trouble at the end is no other's."""
    buffered = "<store>\n@type keeping\n<buffer>\nflush_mode interval\nflush_at_shutdown true\n</buffer>\n</store>\n"
    text = f"{QUIET}<match **>\n@type copy\n<store>\n@type odd\nhow {how}\nat {at}\n</store>\n{buffered}</match>\n"
    async with pipeline(text, OddOutput, Keeping) as running:
        await running.feed("a", {"n": 1})
    assert running.plugin(Keeping).got == [{"n": 1}]
    assert any("unexpected error while" in text for text in running.log.texts("error"))


async def test_an_order_to_stop_is_still_obeyed() -> None:
    """An input that waits for its output is cancelled at the end, and what it sent is not taken for an error."""

    class Waiting(Output[Options], type="waiting"):
        """Never takes anything."""

        async def process(self, batch: EventBatch) -> None:
            waiting.append(batch)
            await asyncio.Event().wait()

    class Once(Input[Options], type="once"):
        """Emits one event."""

        async def run(self) -> None:
            await self.host.emit(EventBatch("a", [0], [{}]))

    waiting: list[Any] = []
    text = f"{QUIET}<source>\n@type once\n</source>\n<match **>\n@type waiting\n</match>\n"
    async with pipeline(text, Waiting, Once) as running:
        await running.wait_for(lambda: waiting)
    assert running.log.texts("error") == []
    assert running.errors == []


@pytest.mark.parametrize("kind", ["record", "batch"])
async def test_a_lack_of_memory_is_not_blamed_on_a_record(kind: str) -> None:
    """The batch is refused, so that its source is read again; no event is a dead letter for it."""

    class Hungry(Filter[Options], type="hungry"):
        """Has no memory, once."""

        def filter(self, _tag: str, _time: Time, record: Record) -> Record | None:
            if left:
                left.pop()
                raise MemoryError
            return record

    class HungryWhole(Hungry, type="hungry_whole"):
        """The same for a batch."""

        def process(self, batch: EventBatch) -> EventBatch:
            if left:
                left.pop()
                raise MemoryError
            return batch

    left = [1]
    name = "hungry" if kind == "record" else "hungry_whole"
    text = f"{QUIET}<filter **>\n@type {name}\n</filter>\n<match **>\n@type test\n</match>\n"
    async with pipeline(text, Hungry, HungryWhole) as running:
        with pytest.raises(MemoryError):
            await running.feed("a", {"n": 1})
        await running.feed("a", {"n": 1})
        assert running.records() == [{"n": 1}]
        assert running.errors == []


def _texts(error: BaseException) -> list[str]:
    """Return the messages of the exceptions that a group holds."""
    if not isinstance(error, BaseExceptionGroup):
        return [str(error)]
    return [text for each in error.exceptions for text in _texts(each)]


async def test_a_lack_of_memory_is_not_blamed_on_a_line(tmp_path: Path) -> None:
    """Nor is the line lost: it is read again."""

    class HungryParser(Parser[Options], type="hungry"):
        """Has no memory, once."""

        def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
            if left:
                left.pop()
                raise MemoryError
            return Parsed([now] * len(lines), [{"line": line.decode()} for line in lines], [])

    left = [1]
    (tmp_path / "log").write_text("one\ntwo\n")
    tail = f"@type tail\npath {tmp_path}/log\ntag a\npos_file {tmp_path}/pos\nread_from_head true\n"
    text = f"<source>\n{tail}<parse>\n@type hungry\n</parse>\n</source>\n{QUIET}<match **>\n@type test\n</match>\n"
    async with pipeline(text, HungryParser) as running:
        await running.wait_for(lambda: len(running.records()) == 2)
        assert running.records() == [{"line": "one"}, {"line": "two"}]
        assert not left
    assert not [text for text in running.log.texts() if "invalid line" in text]
