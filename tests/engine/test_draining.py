"""How a worker stops: inputs read nothing new, what is held or refused is delivered in rounds, inputs stop last."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from logpipe import (
    AsyncFilter,
    Chunk,
    EventBatch,
    Filter,
    Input,
    Options,
    Output,
    PermanentError,
    Receipt,
    Record,
    Time,
)
from logpipe.testing import Pipeline, pipeline, settle, wait_for
from tests.engine.holding import Hold
from tests.engine.planted import NINE, OWN_LOG


class Written(Output[Options], type="written"):
    """Keeps what chunks hold; cannot take what is unlucky, and hands it to `@ERROR` by itself where it is told."""

    async def write(self, chunk: Chunk) -> None:
        if any(record.get("refused") for batch in chunk.batches() for record in batch.records):
            raise PermanentError("refused")
        for batch in chunk.batches():
            for time, record in batch.events():
                if record.get("unlucky"):
                    self.host.emit_error(batch.tag, time, record, ValueError("unlucky"), receipt=batch.receipt)
                else:
                    KEPT.setdefault(self.host.plugin_id, []).append(record)


class Taking(Output[Options], type="taking"):
    """Keeps all that chunks hold."""

    async def write(self, chunk: Chunk) -> None:
        KEPT.setdefault(self.host.plugin_id, []).extend(record for batch in chunk.batches() for record in batch.records)


class Down(Output[Options], type="down"):
    """Is down."""

    tried: ClassVar[list[str]] = []

    async def write(self, chunk: Chunk) -> None:
        self.tried.append(chunk.key.tag or "")
        raise ConnectionError("down")


KEPT: dict[str, list[object]] = {}
LAZY = "<buffer tag>\nflush_mode interval\nflush_interval 1d\n</buffer>\n"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Forget what an earlier test has kept."""
    KEPT.clear()
    Down.tried.clear()


def written(plugin_id: str, pattern: str = "**", *, type_: str = "written") -> str:
    """Return a `<match>` whose buffer waits for the end."""
    return f"<match {pattern}>\n@type {type_}\n@id {plugin_id}\n{LAZY}</match>\n"


async def test_what_a_filter_lets_go_of_may_be_held_again() -> None:
    """The filters of a label were drained before those of the root, which send events to it: they are drained again."""
    label = f"<label @L>\n<filter **>\n@type hold\n@id inner\nhold held\n</filter>\n{written('end')}</label>\n"
    root = "<filter a>\n@type hold\n@id outer\n</filter>\n<match a>\n@type relabel\n@label @L\n</match>\n"
    async with pipeline(OWN_LOG + label + root, Hold, Written) as running:
        await running.feed("a", {"say": "held"}, {"say": "held"})
    assert KEPT == {"end": [{"say": "held"}, {"say": "held"}]}


@pytest.mark.parametrize("kind", ["unlucky", "refused"])
async def test_an_error_that_is_found_while_draining(kind: str) -> None:
    """It is delivered by `@ERROR`'s output, whose buffer was drained beside the one that it comes from."""
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    text = f"{OWN_LOG}<label @ERROR>\n{written('errors', type_='taking')}</label>\n{written('first')}"
    async with pipeline(text, Written, Taking) as running:
        await running.feed("a", {"n": 1}, {kind: True}, receipt=receipt)
        receipt.release()
        assert not settled
    assert KEPT["errors"] == [{kind: True}]
    assert KEPT["first"].count({"n": 1}) == 1
    assert settled == [True]
    assert not running.dead_letters()


class Dawdling(AsyncFilter[Options], type="dawdling"):
    """Lets others have many turns before it passes a batch on."""

    async def process(self, batch: EventBatch) -> EventBatch:
        await settle(500)
        return batch


class Broken(Filter[Options], type="broken"):
    """Can handle nothing."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        raise ValueError(f"{tag} at {time}: {record}")


async def test_an_error_whose_way_is_long() -> None:
    """Errors are waited for in each round, however long they are on their way to `@ERROR`'s output."""
    filters = "<filter **>\n@type dawdling\n</filter>\n"
    error = f"<label @ERROR>\n{filters}{written('errors', type_='taking')}</label>\n"
    inner = f"<filter **>\n@type hold\n</filter>\n<filter **>\n@type broken\n</filter>\n{written('first')}"
    root = "<filter a>\n@type hold\n</filter>\n<match a>\n@type relabel\n@label @L\n</match>\n"
    text = f"{OWN_LOG}{error}<label @L>\n{inner}</label>\n{root}"
    async with pipeline(text, Hold, Broken, Written, Taking, Dawdling) as running:
        await running.feed("a", {"say": "held"})
    assert KEPT == {"errors": [{"say": "held"}]}


async def test_an_error_in_the_last_output() -> None:
    """What `@ERROR`'s own output cannot take, when nothing comes after it, is in a file of dead letters."""
    text = f"{OWN_LOG}<label @ERROR>\n{written('errors')}</label>\n{written('first')}"
    async with pipeline(text, Written) as running:
        await running.feed("a", {"refused": True})
        assert not running.dead_letters()
    assert [letter.record for letter in running.dead_letters()] == [{"refused": True}]


async def test_what_fails_is_tried_once() -> None:
    """However many rounds there are, an output that is down is not tried again, and two of its chunks at most."""
    label = f"<label @ERROR>\n{written('errors', type_='taking')}</label>\n"
    text = f"{OWN_LOG}{label}{written('first', 'a')}{written('down', type_='down')}"
    async with pipeline(text, Written, Taking, Down) as running:
        for tag in ("b", "c", "d"):
            await running.feed(tag, *NINE)
        await running.feed("a", {"unlucky": True})
    assert KEPT == {"errors": [{"unlucky": True}]}
    assert Down.tried == ["b", "c"]


class Flushed(Output[Options], type="flushed"):
    """Writes down how much it had taken when it was told to flush."""

    flushed: ClassVar[list[int]] = []

    def __init__(self, options: Options, host: object) -> None:
        super().__init__(options, host)  # type: ignore[arg-type]
        self._taken = 0

    async def process(self, batch: EventBatch) -> None:
        self._taken += len(batch)

    async def flush(self) -> None:
        self.flushed.append(self._taken)


async def test_what_was_flushed_is_flushed_again_only_for_more() -> None:
    """However many rounds there are: an output may close a file with each flush, or begin a new one."""
    Flushed.flushed.clear()
    errors = "<label @ERROR>\n<match **>\n@type flushed\n</match>\n</label>\n"
    text = f"{OWN_LOG}{errors}<match b>\n@type flushed\n</match>\n{written('first')}"
    async with pipeline(text, Written, Flushed) as running:
        await running.feed("b", *NINE)
        await running.feed("a", {"unlucky": True})
    assert sorted(Flushed.flushed) == [0, 1, 9]


class Waiting(AsyncFilter[Options], type="waiting"):
    """Waits for the order to stop."""

    told: ClassVar[asyncio.Event]

    async def process(self, batch: EventBatch) -> EventBatch:
        await self.told.wait()
        return batch


class Acknowledging(Input[Options], type="acknowledging"):
    """Emits once, and writes down when that has settled, for as long as it runs."""

    done: ClassVar[list[str]] = []

    def __init__(self, options: Options, host: object) -> None:
        super().__init__(options, host)  # type: ignore[arg-type]
        self._settled = asyncio.Event()

    async def run(self) -> None:
        receipt = Receipt(self._settled.set)
        self.host.start_task(self._emit(receipt), name="emit")
        await self._settled.wait()
        self.done.append("committed")
        await asyncio.Event().wait()

    async def _emit(self, receipt: Receipt) -> None:
        await self.host.emit(EventBatch("a", [0], [{"n": 1}], receipt))
        receipt.release()

    async def quiesce(self) -> None:
        self.done.append("quiet")
        Waiting.told.set()

    async def stop(self) -> None:
        self.done.append("stopped")


class Closing(Output[Options], type="closing"):
    """Delivers when told to flush, and writes down that it was closed."""

    def __init__(self, options: Options, host: object) -> None:
        super().__init__(options, host)  # type: ignore[arg-type]
        self._owed: list[Receipt] = []
        self._confirmed = self.host.counter("emit_records", "Events delivered.")

    async def process(self, batch: EventBatch) -> None:
        assert batch.receipt is not None
        batch.receipt.hold()
        self._owed.append(batch.receipt)

    async def flush(self) -> None:
        while self._owed:
            self._owed.pop().release()
            self._confirmed.add(1)

    async def stop(self) -> None:
        Acknowledging.done.append("closed")


async def test_inputs_go_on_with_what_they_have() -> None:
    """What an input has emitted goes its way, is confirmed while draining, and it hears of that before it ends."""
    Acknowledging.done.clear()
    Waiting.told = asyncio.Event()
    text = (
        f"{OWN_LOG}<source>\n@type acknowledging\n@id i\n</source>\n<filter a>\n@type waiting\n</filter>\n"
        "<match a>\n@type closing\n@id o\n</match>\n"
    )
    async with pipeline(text, Acknowledging, Waiting, Closing) as running:
        await running.wait_for(lambda: _emitting(running), "the batch to be on its way")
    assert Acknowledging.done == ["quiet", "committed", "closed", "stopped"]


async def test_a_batch_whose_way_is_long() -> None:
    """While nothing else moves it is waited for, and delivered."""
    Acknowledging.done.clear()
    Waiting.told = asyncio.Event()
    text = (
        f"{OWN_LOG}<source>\n@type acknowledging\n</source>\n<filter a>\n@type waiting\n</filter>\n"
        f"<filter a>\n@type dawdling\n</filter>\n{written('w')}"
    )
    async with pipeline(text, Acknowledging, Waiting, Dawdling, Written) as running:
        await running.wait_for(lambda: _emitting(running), "the batch to be on its way")
    assert KEPT == {"w": [{"n": 1}]}
    assert Acknowledging.done == ["quiet", "committed", "stopped"]


class HoldForRoom(Hold, type="hold_for_room"):
    """Lets go of what it holds when an output has delivered something."""

    async def drain(self) -> None:
        await wait_for(lambda: KEPT or not self.kept, "something to be delivered")
        await self.let_go()


async def test_a_drain_that_waits_for_another() -> None:
    """Outputs are drained meanwhile, and again with what it lets go of."""
    text = f"{OWN_LOG}<filter a>\n@type hold_for_room\n</filter>\n{written('w')}"
    async with pipeline(text, HoldForRoom, Written) as running:
        await running.feed("a", {"say": "held"}, {"say": "x"})
    assert KEPT == {"w": [{"say": "x"}, {"say": "held"}]}


def _emitting(running: Pipeline) -> int:
    (stage,) = running.graph.stages.inputs
    return stage.host.emitting


class Failing(Acknowledging, type="failing"):
    """Cannot be quiet."""

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.done.append("cancelled")

    async def quiesce(self) -> None:
        raise RuntimeError("never")


class Noting(Closing, type="noting"):
    """Writes down that it was told to flush."""

    async def flush(self) -> None:
        Acknowledging.done.append("flushed")


async def test_an_input_that_cannot_be_quiet_is_cancelled() -> None:
    """As one that does not say how to: before anything is drained."""
    Acknowledging.done.clear()
    text = f"{OWN_LOG}<source>\n@type failing\n</source>\n<match a>\n@type noting\n@id o\n</match>\n"
    async with pipeline(text, Failing, Noting) as running:
        pass
    assert Acknowledging.done == ["cancelled", "flushed", "closed", "stopped"]
    assert any("unexpected error while delivering" in said for said in running.log.texts("error"))


class Stuck(AsyncFilter[Options], type="stuck"):
    """Never comes to an end."""

    async def process(self, batch: EventBatch) -> EventBatch:
        await asyncio.Event().wait()
        return batch


async def test_what_does_not_move_is_not_waited_for() -> None:
    """A batch that nobody takes is its input's again, long before the deadline, and all else is delivered."""
    Acknowledging.done.clear()
    Waiting.told = asyncio.Event()
    text = (
        f"<system>\nshutdown_timeout 1h\n</system>\n{OWN_LOG}<source>\n@type acknowledging\n</source>\n"
        f"<filter a>\n@type stuck\n</filter>\n{written('w')}"
    )
    async with pipeline(text, Acknowledging, Stuck, Written) as running:
        await running.wait_for(lambda: _emitting(running), "the batch to be on its way")
        await running.feed("b", {"n": 2})
    assert KEPT == {"w": [{"n": 2}]}
    assert Acknowledging.done == ["quiet", "stopped"]
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert line.refused == 1
