"""What waits to be joined: bounded in memory whoever writes it, and no record makes another one wait or go astray."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from logpipe import BufferFull, Record
from logpipe.testing import ManualClock, Pipeline, drive, pipeline, settle
from logpipe_community.concat.filter import Concat
from logpipe_community.detect_exceptions.filter import DetectExceptionsFilter

START = "key message\nmultiline_start_regexp /^at /\n"
BEGIN = "AError: a"
STAGES = {
    "concat": ("@type concat\nkey message\nmultiline_start_regexp /Error/\nflush_interval 0\n", "filter"),
    "filter": ("@type detect_exceptions\nmax_lines 0\n", "filter"),
    "output": ("@type detect_exceptions\nmax_lines 0\nremove_tag_prefix raw\n", "match"),
}


@pytest.fixture(name="_small")
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logpipe_community.joining.Groups.__init__.__defaults__", (40_000,))


def configuration(name: str) -> str:
    """Return one of the stages, and what takes its events."""
    text, section = STAGES[name]
    rest = "<match fluent.**>\n@type null\n</match>\n<match **>\n@type test\n</match>\n"
    return f"<{section} raw.**>\n{text}</{section}>\n{rest}"


def messages(running: Pipeline) -> list[str]:
    """Return what has come."""
    return [str(record["message"]) for record in running.records()]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("name", STAGES)
async def test_streams_are_bounded_together(name: str) -> None:
    """Beyond it the stream that is silent for longest goes on as it is."""
    begun = [f"{BEGIN} {number}" for number in range(60)]
    async with pipeline(configuration(name)) as running:
        for number, text in enumerate(begun):
            await running.feed(f"raw.{number}", {"message": text})
        found = messages(running)
        assert 20 < len(found) < 60
        assert found == begun[: len(found)]
        assert any("too much is held" in text for text in running.log.texts("warning"))
    assert messages(running) == begun


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("name", STAGES)
async def test_one_stream_has_a_part_of_it(name: str) -> None:
    """What never ends goes on in parts, and leaves the others where they are."""
    async with pipeline(configuration(name)) as running:
        await running.feed("raw.quiet", {"message": BEGIN})
        for _ in range(60):
            await running.feed("raw.loud", {"message": BEGIN[:6]}, {"message": "\tat a.b"})
        assert messages(running)
        assert BEGIN not in messages(running)
    assert BEGIN in messages(running)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("weight", ["x" * 20_000, {"a": ["x" * 20_000]}, list(range(1000)), {"x" * 20_000: 1}])
async def test_all_of_a_record_is_counted(weight: Any) -> None:
    """Not its texts alone."""
    async with pipeline(configuration("concat")) as running:
        await running.feed("raw.a", {"message": BEGIN, "beside": weight})
        assert messages(running) == [BEGIN]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("name", STAGES)
async def test_an_output_that_takes_nothing_holds_up_who_brings_more(name: str) -> None:
    """Rather than being given more and more that waits for it."""
    clock = ManualClock()
    async with pipeline(configuration(name), clock=clock) as running, asyncio.TaskGroup() as group:
        running.collector().refuse = BufferFull("no room")

        async def bring() -> None:
            for number in range(100):
                await running.feed(f"raw.{number}", {"message": BEGIN})

        bringing = group.create_task(bring())
        await settle()
        await clock.advance(3)
        assert not bringing.done()
        running.collector().refuse = None
        while not bringing.done():
            await clock.advance(11)
    assert messages(running) == [BEGIN] * 100


DEEP: Any = []
for _ in range(150):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("conf", "bad"),
    [
        (START, {"message": DEEP}),
        ("key message\npartial_key p\npartial_value true\n", {"message": "b", "p": "true", "x": DEEP}),
    ],
)
async def test_a_record_that_is_no_text(conf: str, bad: Record) -> None:
    """It is an error by itself, and what is held goes on."""
    async with drive(Concat, conf) as stage:
        await stage.feed("t", {"message": "at 1", "p": "true"}, bad, {"message": "a", "p": "false"})
        assert [record for _, _, record, _ in stage.errors] == [bad]
    assert [record["message"] for record in stage.records()] == ["at 1\na"]


async def test_streams_that_cannot_be_told_apart() -> None:
    """What is too deep to be text is one stream; a long text is one of its own."""
    async with drive(Concat, f"{START}stream_identity_key id\n") as stage:
        ids = [DEEP, "x" * 10_000, "x" * 10_000 + "y"]
        await stage.feed("t", *({"message": f"at {number}", "id": each} for number, each in enumerate(ids)))
        await stage.feed("t", *({"message": f"a {number}", "id": each} for number, each in enumerate(ids)))
    assert [record["message"] for record in stage.records()] == [f"at {number}\na {number}" for number in range(3)]


@pytest.mark.parametrize("ordinal", [DEEP, {}, None, "x", 9**99, "9" * 5000, -1, True])
async def test_parts_whose_number_is_none(ordinal: Any) -> None:
    """They are joined all the same."""
    async with drive(Concat, "key message\nuse_partial_metadata true\nseparator\n") as stage:
        part = {"message": "a", "partial_message": "true", "partial_id": "1", "partial_ordinal": ordinal}
        await stage.feed("t", part, part | {"partial_last": "true"})
        assert [record["message"] for record in stage.records()] == ["aa"]


async def test_streams_without_a_trace_are_not_remembered() -> None:
    """However many there are, a trace of another one goes on."""
    async with drive(DetectExceptionsFilter, "stream s\n") as stage:
        await stage.feed("t", {"message": f"{BEGIN}\n", "s": "a"})
        await stage.feed("t", *({"message": "x", "s": number} for number in range(12_000)))
        await stage.feed("t", {"message": "\tat a", "s": "a"})
    assert stage.records()[-1] == {"message": f"{BEGIN}\n\tat a", "s": "a"}


async def test_the_first_record_does_not_choose_the_field_of_all() -> None:
    """Each says it for itself, so that one stranger's cannot keep the others' traces from being joined."""
    async with drive(DetectExceptionsFilter, "") as stage:
        await stage.feed("t", {"log": "x"}, {"message": BEGIN}, {"message": "\tat a"}, {"log": f"{BEGIN}\n"})
        await stage.feed("t", {"log": "\tat b"}, {"message": "\tat c"})
    assert stage.records() == [
        {"log": "x"},
        {"message": f"{BEGIN}\tat a"},
        {"log": f"{BEGIN}\n\tat b"},
        {"message": "\tat c"},
    ]


@pytest.mark.parametrize(
    ("before", "long"),
    [
        ("NoMethodError (x):", "{blanks}a.rb:1:in `f'"),
        ("NoMethodError (x):", "{blanks}{dots}.rb:1:in `f'"),
        ("Unhandled exception:\nInstance of X", "#1{blanks}{brackets}(x)"),
        ("panic: x\n", "goroutine 1 [{blanks}]:"),
        ("", "{errors}Error (x):"),
    ],
)
async def test_long_lines_of_traces(before: str, long: str) -> None:
    """They are read in one go: none is given up for taking too long."""
    filled = long.format(blanks=" " * 50_000, dots=".rb:" * 50_000, brackets="(" * 50_000, errors="Error (" * 50_000)
    rows = [row for row in (*before.split("\n"), filled) if row or "panic" in before]
    async with drive(DetectExceptionsFilter, "") as stage:
        await stage.feed("t", *({"message": row} for row in rows))
        assert stage.records() == []
    assert stage.records() == [{"message": "".join(rows)}]
