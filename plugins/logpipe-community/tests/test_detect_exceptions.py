"""detect_exceptions: the lines of a stack trace become one event, and none is lost."""

from __future__ import annotations

import pytest

from logpipe import BufferFull, ConfigError, Receipt, Record
from logpipe.testing import ManualClock, check_plugin, configure, drive, pipeline
from logpipe_community.detect_exceptions.filter import DetectExceptionsFilter
from logpipe_community.detect_exceptions.output import DetectExceptions

TRACES = {
    name: "\n".join(rows)
    for name, rows in {
        "java": (
            "java.lang.RuntimeException: javax.mail.SendFailedException: Invalid",
            "\tat com.app.Main.main(Main.java:7)",
            "Caused by: com.sun.X: invalid;",
            "\tnested exception is:",
            "com.sun.Y: Error: 550",
            "\tat com.app.Mail.send(Mail.java:9)",
            "\t... 5 more",
        ),
        "js": ("TypeError: x is no function", "    at f (/app/a.js:1:2)", "    at eval at <anonymous> (b.js:3:4)"),
        "csharp": (
            "System.NullReferenceException: Object",
            "  at A.B () [0x0] in <f>:0",
            "  --- End of inner exception stack trace ---",
            "  at A.Main () [0x1] in <f>:0",
        ),
        "python": (
            "Traceback (most recent call last):",
            '  File "a.py", line 1, in <module>',
            "    f()",
            '  File "b.py", line 2, in f',
            "    1/0",
            "ZeroDivisionError: division by zero",
        ),
        "php": (
            "PHP Fatal error:  Uncaught exception 'E' with message 'm'",
            "Stack trace:",
            "#0 /a.php(1): f()",
            "#1 {main}",
            "  thrown in /a.php on line 1",
        ),
        "go": (
            "panic: runtime error: index out of range",
            "",
            "goroutine 12 [running]:",
            "main.f(0x1)",
            "\t/a/b.go:3 +0x1",
            "created by main.main",
            "\t/a/b.go:9 +0x2",
        ),
        "ruby": ("NoMethodError (undefined method `x' for nil):", "  app/a.rb:1:in `f'", "  app/b.rb:2:in `g'"),
        "dart": (
            "Unhandled exception:",
            "Instance of 'MyError'",
            "#0      f (file:///a.dart:1:2)",
            "#1      <asynchronous>(dart:async)",
        ),
    }.items()
}


def lines(text: str) -> list[Record]:
    """Return a record of each line."""
    return [{"message": line} for line in text.split("\n")]


@pytest.mark.parametrize("language", TRACES)
async def test_traces_of_languages(language: str) -> None:
    """Each is one event when its language is looked for, between lines that are their own, and when all are."""
    trace = TRACES[language]
    for conf in (f"languages {language}\n", ""):
        async with drive(DetectExceptionsFilter, f"{conf}force_line_breaks true\n") as stage:
            await stage.feed("t", *lines(f"hello\n{trace}\nbye bye"))
            assert [record["message"] for record in stage.records()] == ["hello", trace, "bye bye"]


async def test_other_languages_are_not_looked_for() -> None:
    """Their lines stay apart."""
    async with drive(DetectExceptionsFilter, "languages go, python\n") as stage:
        await stage.feed("t", *lines(TRACES["java"]))
        assert len(stage.records()) == TRACES["java"].count("\n") + 1


async def test_a_trace_that_follows_a_trace() -> None:
    """It is an event of its own, with the time and the fields of its first line; texts are put together as they are."""
    async with drive(DetectExceptionsFilter, "languages java\n") as stage:
        texts = ["AError: a\n", "\tat a\n", "BError: b\n", "\tat b\n", "x"]
        records = [{"log": text, "n": number} for number, text in enumerate(texts)]
        await stage.feed("t", *records, times=[10, 11, 12, 13, 14])
        assert [(event.time, event.record) for event in stage.events()] == [
            (10, {"log": "AError: a\n\tat a\n", "n": 0}),
            (12, {"log": "BError: b\n\tat b\n", "n": 2}),
            (14, {"log": "x", "n": 4}),
        ]


async def test_streams_and_fields() -> None:
    """`stream` tells streams apart; an event without the field passes, and ends the trace of its stream."""
    async with drive(DetectExceptionsFilter, "message m\nstream s\nlanguages java\n") as stage:
        rows = [("AError: a\n", 1), ("BError: b\n", 2), (" at a\n", 1), (" at b\n", 2), ("x", 1)]
        await stage.feed("t", *({"m": text, "s": stream} for text, stream in rows), {"s": 2})
        assert stage.records() == [
            {"m": "AError: a\n at a\n", "s": 1},
            {"m": "x", "s": 1},
            {"m": "BError: b\n at b\n", "s": 2},
            {"s": 2},
        ]


@pytest.mark.parametrize(("conf", "expected"), [("max_lines 2\n", 2), ("max_bytes 15\n", 2), ("max_lines 0\n", 1)])
async def test_traces_that_are_too_long(conf: str, expected: int) -> None:
    """They go on as they are, and what follows is no trace."""
    async with drive(DetectExceptionsFilter, f"languages java\n{conf}") as stage:
        await stage.feed("t", *lines("AError: a\n\tat a\n\tat b"))
    assert len(stage.records()) == expected


OUTPUT = (
    "<match raw.**>\n@type detect_exceptions\nremove_tag_prefix raw\nlanguages java\n{conf}</match>\n"
    "<match **>\n@type test\n</match>\n"
)


async def test_the_output_emits_without_the_prefix() -> None:
    """What waits goes on at the end; no receipt settles before, and the ledger adds up."""
    settled: list[bool] = []
    async with pipeline(OUTPUT.format(conf="")) as running:
        receipt = Receipt(lambda: settled.append(True))
        await running.feed("raw.t", *lines("hello\nAError: a\n\tat a"), receipt=receipt)
        receipt.release()
        assert running.records("t") == lines("hello")
        assert not settled
    assert running.records("t") == [{"message": "hello"}, {"message": "AError: a\tat a"}]
    assert settled == [True]


@pytest.mark.parametrize(("conf", "seconds"), [("multiline_flush_interval 5\n", 7), ("", 70)])
async def test_a_trace_that_nothing_follows(conf: str, seconds: int) -> None:
    """It goes on after the interval, or after a minute; what comes then is no part of it."""
    clock = ManualClock()
    async with pipeline(OUTPUT.format(conf=conf), clock=clock) as running:
        await running.feed("raw.t", *lines("AError: a"))
        await clock.advance(4)
        assert running.records("t") == []
        await clock.advance(seconds)
        assert running.records("t") == lines("AError: a")
        await running.feed("raw.t", *lines("\tat a"))
        assert running.records("t")[1:] == lines("\tat a")


async def test_the_filter_lets_go_as_well() -> None:
    """By the clock, and at the end."""
    clock = ManualClock()
    async with drive(DetectExceptionsFilter, "multiline_flush_interval 5\n", clock=clock) as stage:
        await stage.feed("t", *lines("AError: a"))
        await clock.advance(7)
        assert stage.records() == lines("AError: a")
        await stage.feed("t", *lines("BError: b"))
    assert stage.records() == lines("AError: a\nBError: b")


async def test_what_the_output_cannot_emit_is_sent_again() -> None:
    """Its source must not bring again what is a part of a trace already."""
    clock, settled = ManualClock(), list[bool]()
    async with pipeline(OUTPUT.format(conf="multiline_flush_interval 1\n"), clock=clock) as running:
        receipt = Receipt(lambda: settled.append(True))
        await running.feed("raw.t", *lines("AError: a"), receipt=receipt)
        receipt.release()
        running.collector().refuse = BufferFull("no room")
        await clock.advance(4)
        assert not settled
        running.collector().refuse = None
        await clock.advance(11)
        assert running.records("t") == lines("AError: a")
        assert settled == [True]


def test_settings_that_cannot_work() -> None:
    """A language that is not known, and a tag that would come back."""
    with pytest.raises(ConfigError, match="Unknown language: cobol"):
        configure(DetectExceptionsFilter, "languages java, cobol")
    with pytest.raises(ConfigError, match='"remove_tag_prefix" is required'):
        configure(DetectExceptions)


async def test_keeps_what_every_plugin_promises() -> None:
    """Both stages."""
    await check_plugin(DetectExceptionsFilter, "languages java", records=lines("x\nAError: a\n\tat a\ny\nBError: b"))
    await check_plugin(DetectExceptions, "remove_tag_prefix raw")
