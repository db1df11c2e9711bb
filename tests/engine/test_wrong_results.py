"""Plugins that return what they must not: refused when the class is made where it shows, else their own error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from logpipe import (
    AsyncFilter,
    Chunk,
    EventBatch,
    Filter,
    Formatter,
    Input,
    Options,
    Output,
    Parser,
    Receipt,
    Record,
    Time,
)
from logpipe.testing import pipeline

CONF = """
<filter app>
  @type NAME
</filter>
<filter app>
  @type record_transformer
  <record>
    after yes
  </record>
</filter>
<match app>
  @type test
</match>
<label @ERROR>
  <match **>
    @type test
    name errors
  </match>
</label>
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
"""


def made(make: Callable[[], object]) -> str:
    """Return why a class is refused."""
    with pytest.raises(TypeError) as caught:
        make()
    return str(caught.value)


def class_of(base: Any, **methods: Any) -> Callable[[], object]:
    """Return what makes a plugin's class with these methods."""
    return lambda: type(base)("Mine", (base,), methods, type="mine")


async def waits(*_: object) -> None:
    """Wait."""


def returns(*_: object) -> None:
    """Return at once."""


def yields(*_: object) -> Any:
    """Yield."""
    yield


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            class_of(Filter, filter=waits),
            "Mine.filter must not wait: write def filter in place of async def, or derive from AsyncFilter and write "
            "async def process",
        ),
        (class_of(Filter, filter=yields), "Mine.filter is a generator: return its result, do not yield it"),
        (class_of(Parser, parse=waits), "Mine.parse must not wait: write def parse in place of async def"),
        (class_of(Formatter, format=waits), "Mine.format must not wait: write def format in place of async def"),
        (
            class_of(Output, write=waits, encode=waits),
            "Mine.encode must not wait: write def encode in place of async def",
        ),
        (class_of(AsyncFilter, process=returns), "Mine.process is awaited: write async def process"),
        (class_of(Output, write=returns), "Mine.write is awaited: write async def write"),
        (class_of(Input, run=waits, start=returns), "Mine.start is awaited: write async def start"),
        (class_of(Filter), "Mine does nothing yet: write its method filter or process"),
        (class_of(AsyncFilter), "Mine does nothing yet: write its method process"),
        (class_of(Input), "Mine does nothing yet: write its method run"),
        (class_of(Output), "Mine does nothing yet: write its method write or process"),
        (class_of(Parser), "Mine does nothing yet: write its method parse or parse_lines"),
        (class_of(Formatter), "Mine does nothing yet: write its method format or format_batch"),
    ],
)
def test_a_class_that_cannot_work_is_refused(make: Callable[[], object], said: str) -> None:
    """When it is made, with what to write."""
    assert made(make) == said


def test_a_base_for_others_may_leave_its_work_to_them() -> None:
    """Only a class with a type is a plugin."""

    class Base(Filter[Options]):
        """Has no type."""

    class Mine(Base, type="mine"):
        """Has one."""

        def filter(self, _tag: str, _time: Time, record: Record) -> Record | None:
            return record

    assert Mine.types == ("mine",)


class TextFilter(Filter[Options], type="bad_text"):
    """Returns text for some."""

    def filter(self, _tag: str, _time: Time, record: Record) -> Any:
        return str(record) if record.get("bad") else record


class LazyFilter(Filter[Options], type="bad_lazy"):
    """Returns a coroutine for some, which its class does not show."""

    def filter(self, _tag: str, _time: Time, record: Record) -> Any:
        return waits() if record.get("bad") else record


class NothingFilter(Filter[Options], type="bad_nothing"):
    """Forgets to return its batch."""

    def process(self, _batch: EventBatch) -> Any:
        return None


class UnequalFilter(Filter[Options], type="bad_unequal"):
    """Drops a time too many, in place."""

    def process(self, batch: EventBatch) -> EventBatch:
        del batch.times[0]
        return batch


class TextsFilter(Filter[Options], type="bad_texts"):
    """Makes texts of all records, in place."""

    def process(self, batch: EventBatch) -> EventBatch:
        batch.records[:] = map(str, batch.records)  # type: ignore[assignment]
        return batch


class NothingAsyncFilter(AsyncFilter[Options], type="bad_async_nothing"):
    """Forgets to return its batch."""

    async def process(self, _batch: EventBatch) -> Any:
        return None


FILTERS = (TextFilter, LazyFilter, NothingFilter, UnequalFilter, TextsFilter, NothingAsyncFilter)


@pytest.mark.parametrize(
    ("cls", "passed", "said"),
    [
        (TextFilter, 1, "TextFilter.filter returned a str: return a record, or None"),
        (LazyFilter, 1, "LazyFilter.filter returned a coroutine: return a record, or None"),
        (NothingFilter, 0, "NothingFilter.process returned a NoneType: return an EventBatch"),
        (
            UnequalFilter,
            0,
            "UnequalFilter.process returned a batch of 1 times and 2 records: both must be as many",
        ),
        (TextsFilter, 0, "TextsFilter.process returned a str in the place of a record: records are dicts"),
        (NothingAsyncFilter, 0, "NothingAsyncFilter.process returned a NoneType: return an EventBatch"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_the_stage_that_did_it_is_blamed(cls: type[Filter[Any]], passed: int, said: str) -> None:
    """Its events go to `@ERROR`, those that it did not spoil go on, and every one is accounted for."""
    conf = CONF.replace("NAME", cls.types[0])
    async with pipeline(conf, *FILTERS) as running:
        await running.feed("app", {"n": 1}, {"n": 2, "bad": True})
        await running.wait_for(lambda: len(running.records(name="errors")) == 2 - passed)
        assert running.records(name="") == [{"n": 1, "after": "yes"}][:passed]
        assert [str(error) for *_, error in running.errors] == [said] * (2 - passed)
        assert running.plugin(cls).host.metrics.snapshot()["error_records"] == 2 - passed


class ShortOutput(Output[Options], type="short"):
    """Forgets the payload of what is marked."""

    written: ClassVar[list[bytes]] = []

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"x" for record in batch.records if not record.get("bad")]

    async def write(self, chunk: Chunk) -> None:
        self.written.extend(chunk.payloads())


async def test_an_output_that_encodes_too_few() -> None:
    """Whoever has no payload is the exception; all others are delivered, each its own."""
    conf = CONF[CONF.index("<match app>") :].replace(
        "@type test\n</match>\n<label @E", "@type short\n</match>\n<label @E"
    )
    ShortOutput.written.clear()
    async with pipeline(conf, ShortOutput) as running:
        await running.feed("app", {"n": 1}, {"n": 2, "bad": True}, {"n": 3})
        await running.flush()
        await running.wait_for(lambda: running.records(name="errors"))
        assert running.records(name="errors") == [{"n": 2, "bad": True}]
        assert ShortOutput.written == [b"x", b"x"]
        assert [str(error) for *_, error in running.errors] == [
            "encode returned 0 payloads for 1 events: return one for each"
        ]


class PoppingOutput(Output[Options], type="popping"):
    """Takes what it has delivered out of its batch, without its time, and fails."""

    async def process(self, batch: EventBatch) -> None:
        batch.records.pop()
        raise ValueError("the peer is odd")


async def test_an_output_that_takes_its_batch_apart_and_fails() -> None:
    """What is left cannot be told, so that none goes to `@ERROR`: the input reads them all again."""
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    conf = CONF[CONF.index("<match app>") :].replace(
        "@type test\n</match>\n<label @E", "@type popping\n</match>\n<label @E"
    )
    async with pipeline(conf, PoppingOutput) as running:
        with pytest.raises(ValueError, match="the peer is odd"):
            await running.feed("app", {"n": 1}, {"n": 2}, receipt=receipt)
        assert running.errors == []
    assert not settled
