"""Stack traces of other people's stages: once for each kind of error, and none where a record is to blame."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from logpipe import Chunk, EventBatch, Filter, Options, Output, PermanentError, param
from logpipe.testing import Pipeline, pipeline


class WrongOptions(Options):
    """What it raises."""

    what: str = param("What it raises.", default="")


def fail(what: str) -> None:
    """Raise what is asked for, the same from the same line."""
    if what == "exit":
        raise SystemExit(3)
    if what == "purpose":
        raise PermanentError("never")
    raise KeyError(what)


class WrongFilter(Filter[WrongOptions], type="wrong"):
    """Fails at every batch."""

    def process(self, batch: EventBatch) -> EventBatch:
        fail(self.options.what)
        return batch


class WrongOutput(Output[WrongOptions], type="wrong"):
    """Fails at every batch."""

    async def write(self, chunk: Chunk) -> None:
        del chunk
        fail(self.options.what)


LEVEL = "@log_level info\n"
FILTERED = f"<filter a>\n@type wrong\nwhat x\n{LEVEL}</filter>\n<match a>\n@type null\n</match>\n"
BUFFERED = (
    f"<match a>\n@type wrong\nwhat x\n{LEVEL}<buffer>\nflush_mode immediate\nretry_wait 0.01\n</buffer>\n</match>\n"
)


@contextmanager
def traces(running: Pipeline) -> Iterator[list[logging.LogRecord]]:
    """Collect the messages that carry a stack trace."""
    found: list[logging.LogRecord] = []

    def look(record: logging.LogRecord) -> bool:
        if record.exc_info:
            found.append(record)
        return True

    running.log.addFilter(look)
    yield found


@pytest.mark.parametrize(("level", "times"), [("info", 1), ("debug", 3)])
@pytest.mark.parametrize("text", [FILTERED, BUFFERED])
async def test_each_kind_is_traced_once(text: str, level: str, times: int) -> None:
    """However often it comes back; each time where debug messages are asked for."""
    async with pipeline(text.replace("info", level), WrongFilter, WrongOutput) as running:
        with traces(running) as found:
            for _ in range(3):
                await running.feed("a", {"n": 1})
            await running.wait_for(lambda: sum("error_class" in text for text in running.log.texts()) >= 3)
        assert (len(found) == 1) if times == 1 else (len(found) >= times)
        assert found[0].exc_info is not None
        assert [frame.name for frame in traceback.extract_tb(found[0].exc_info[2])][-1] == "fail"


async def test_an_exit_is_traced_to_its_line() -> None:
    """It ends its batch, and nothing else."""
    async with pipeline(FILTERED.replace("what x", "what exit"), WrongFilter) as running:
        with traces(running) as found:
            await running.feed("a", {"n": 1})
        (record,) = found
        assert "SystemExit" in record.getMessage()
        assert record.exc_info is not None
        assert record.exc_info[0] is SystemExit


RUBY = (
    "<filter a>\n@type record_transformer\nenable_ruby true\n<record>\nx ${record['n'].upcase}\n</record>\n</filter>\n"
)


@pytest.mark.parametrize(
    "text", [FILTERED.replace("what x", "what purpose"), f"{RUBY}<match a>\n@type null\n</match>\n"]
)
async def test_what_is_raised_on_purpose_is_not_traced(text: str) -> None:
    """Nor what a record has done to a stage of ours."""
    async with pipeline(text, WrongFilter) as running:
        with traces(running) as found:
            await running.feed("a", {"n": 1})
        assert any("error_class" in text for text in running.log.texts("warning"))
        assert found == []
