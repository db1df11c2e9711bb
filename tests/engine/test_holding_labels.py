"""Filters that hold events back, before and behind labels: where what they forward goes, and what fails there."""

from __future__ import annotations

import asyncio

import pytest

from logpipe import BufferFull, ConfigError, EventBatch, Filter, FilterHost, Options, Output, Receipt, Record, Time
from logpipe.testing import ManualClock, pipeline, settle
from tests.engine.holding import PLUGINS, Hold, HoldOptions, Mark
from tests.engine.planted import OWN_LOG


async def test_what_fails_again_after_error_is_a_dead_letter() -> None:
    """In `@ERROR` a forward is not sent again for ever: as anywhere, what fails there goes to a file."""
    text = (
        f"{OWN_LOG}<label @ERROR>\n<filter **>\n@type hold\n@id h\n</filter>\n<match **>\n@type test\n@id c\n</match>\n"
        "</label>\n<filter **>\n@type record_modifier\n<record>\nx ${raise}\n</record>\n</filter>\n"
    )
    async with pipeline(text, *PLUGINS) as running:
        running.collector().refuse = ValueError("never")
        await running.feed("a", {"say": "held"}, {"say": "x"})
        await running.wait_for(running.dead_letters, "what is returned")
        assert running.plugin(Hold).held() == 1
        await running.plugin(Hold).let_go()
        await running.wait_for(lambda: len(running.dead_letters()) == 2, "what is forwarded")


class Elsewhere(Hold, type="elsewhere"):
    """Sends what it has kept to a label."""

    def __init__(self, options: HoldOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._send = host.emitter("@L")

    async def let_go(self) -> None:
        while self.kept:
            await self._send(self.kept.pop(0))


ELSEWHERE = (
    f"{OWN_LOG}<filter **>\n@type elsewhere\n@id h\n</filter>\n<match **>\n@type test\n</match>\n"
    "<label @L>\n<filter **>\n@type mark\ntag seen\n</filter>\n<match **>\n@type test\nname l\n</match>\n</label>\n"
)


async def test_it_goes_on_in_a_label_until_that_takes_it() -> None:
    """Its receipt settles then, and the ledger knows both routes."""
    clock, settled = ManualClock(), list[bool]()
    async with pipeline(ELSEWHERE, Elsewhere, Mark, clock=clock) as running:
        hold, collector = running.plugin(Elsewhere), running.collector("l")
        receipt = Receipt(lambda: settled.append(True))
        collector.refuse = BufferFull("no room")
        await running.feed("a", {"say": "held"}, {"say": "go on"}, receipt=receipt)
        receipt.release()
        async with asyncio.TaskGroup() as group:
            group.create_task(hold.let_go())
            await settle()
            assert not settled
            collector.refuse = None
            await clock.advance(0.5)
        assert settled == [True]
        assert running.records() == [{"say": "go on"}]
        assert running.records(name="l") == [{"say": "held", "seen": 1}]
    lines = {line.name: (line.emitted, line.passed, line.refused) for line in running.graph.ledger().routes}
    assert lines["@ROOT"] == (2, 2, 0)
    assert lines["@L"] == (2, 1, 1)


async def test_what_fails_again_in_a_label_after_error_is_a_dead_letter() -> None:
    """As behind the filter; and the ledger adds up."""
    text = f"{ELSEWHERE}<label @ERROR>\n<match **>\n@type relabel\n@label @ROOT\n</match>\n</label>\n"
    async with pipeline(text, Elsewhere, Mark) as running:
        running.collector("l").refuse = ValueError("never")
        receipt = Receipt(lambda: None, came_through_error=True)
        await running.feed("a", {"say": "held"}, receipt=receipt)
        receipt.release()
        await running.plugin(Elsewhere).let_go()
        await running.wait_for(running.dead_letters)


async def test_a_label_that_is_not_there() -> None:
    """It is an error of the configuration, with its place."""
    with pytest.raises(ConfigError, match='label "@L" is not defined'):
        async with pipeline("<filter **>\n@type elsewhere\n</filter>\n", Elsewhere):
            pass


class Anew(Output[Options], type="anew"):
    """Emits what it gets as if it were its own."""

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(EventBatch(batch.tag, batch.times, batch.records))


class Never(Filter[Options], type="never"):
    """Takes no event."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        raise ValueError(f"{tag} at {time}: {record}")


async def test_what_has_come_through_error_is_known_to_have() -> None:
    """Also behind another label, and where its receipt is lost on the way: it does not come to `@ERROR` again."""
    text = (
        f"{OWN_LOG}<filter a>\n@type never\n</filter>\n"
        "<label @ERROR>\n<match **>\n@type relabel\n@label @L\n</match>\n</label>\n"
        "<label @L>\n<filter **>\n@type hold\n</filter>\n"
        "<match a>\n@type anew\n@label @M\n</match>\n</label>\n"
        "<label @M>\n<filter **>\n@type never\n</filter>\n<match **>\n@type test\n</match>\n</label>\n"
    )
    async with pipeline(text, *PLUGINS, Anew, Never) as running:
        await running.feed("a", {"say": "held"})
        await running.wait_for(running.plugin(Hold).held)
        await running.plugin(Hold).let_go()
        await running.wait_for(running.dead_letters)
        assert running.plugin(Hold).processed == 1


class Refusing(Output[Options], type="refusing"):
    """Takes nothing."""

    async def process(self, batch: EventBatch) -> None:
        raise ValueError(f"{len(batch)} events")


async def test_what_fails_behind_another_label_than_error() -> None:
    """It is known by its receipt, and a dead letter as in `@ERROR` itself."""
    text = (
        f"{OWN_LOG}<filter a>\n@type never\n</filter>\n"
        "<label @ERROR>\n<match **>\n@type relabel\n@label @L\n</match>\n</label>\n"
        "<label @L>\n<filter **>\n@type hold\n</filter>\n<match a>\n@type refusing\n</match>\n</label>\n"
    )
    async with pipeline(text, *PLUGINS, Never, Refusing) as running:
        await running.feed("a", {"say": "held"})
        await running.wait_for(running.plugin(Hold).held)
        await running.plugin(Hold).let_go()
        await running.wait_for(running.dead_letters)
