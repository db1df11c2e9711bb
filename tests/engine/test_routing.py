"""Which stages a tag meets, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import BufferFull, ConfigError, Filter, Options, Record, RetryLater, Time, param
from logpipe.testing import ManualClock, drive, pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"


class MarkOptions(Options):
    """Settings of the filter below."""

    word: str = param("What to append.")


class Mark(Filter[MarkOptions], type="mark"):
    """Appends a word to the field `path`."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        del tag, time
        if record.get("bad") == self.options.word:
            raise ValueError("a bad record")
        record["path"] = [*record.get("path", []), self.options.word]
        return record


class Broken(Filter[Options], type="broken"):
    """Fails on every record."""

    def filter(self, _tag: str, _time: Time, _record: Record) -> Record | None:
        raise ValueError("always")


async def test_first_match_wins_and_filters_behind_it_do_not_run() -> None:
    """A filter counts only if it stands before the match that takes the tag."""
    text = """
    <filter a.**>
      @type mark
      word one
    </filter>
    <match a.b>
      @type test
      name ab
    </match>
    <filter a.**>
      @type mark
      word two
    </filter>
    <match **>
      @type test
      name rest
    </match>
    """
    async with pipeline(text + QUIET, Mark) as running:
        await running.feed("a.b", {})
        await running.feed("a.c", {})
        await running.feed("c", {})

        assert running.records(name="ab") == [{"path": ["one"]}]
        assert running.records("a.c", name="rest") == [{"path": ["one", "two"]}]
        assert running.records("c", name="rest") == [{}]


async def test_a_tag_that_nobody_wants_is_warned_about_less_and_less() -> None:
    """The warning comes at the first, second, fourth … 512th time, and then at every 512th."""
    warned: list[int] = []
    async with pipeline("<match a>\n@type test\n</match>\n" + QUIET) as running:
        for time in range(1, 2000):
            before = len(running.log.messages)
            await running.feed("b", {})
            if "no patterns matched tag='b'" in [text for _, text in running.log.messages[before:]]:
                warned.append(time)

    assert warned == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1536]


async def test_one_bad_record_goes_to_the_error_label_and_the_rest_goes_on() -> None:
    """The batch loses only what failed, and @ERROR gets it unharmed."""
    text = """
    <filter **>
      @type mark
      word one
    </filter>
    <match **>
      @type test
    </match>
    <label @ERROR>
      <match **>
        @type test
        name errors
      </match>
    </label>
    """
    async with pipeline(text + QUIET, Mark) as running:
        await running.feed("a", {"n": 1}, {"bad": "one"}, {"n": 3})
        await running.wait_for(lambda: running.records(name="errors"))

        assert [record["n"] for record in running.records()] == [1, 3]
        assert running.records(name="errors") == [{"bad": "one"}]


async def test_without_an_error_label_the_event_is_in_the_log() -> None:
    """The last trace of a bad event is complete, with control characters escaped."""
    async with drive(Mark, "word one") as stage:
        await stage.feed("a", {"bad": "one", "text": "\x1b[2J"}, times=[1_500_000_000_000_000_123])

        (dumped,) = [text for text in stage.log.texts("warning") if text.startswith("dump an error event")]
        assert 'tag=\'a\' time=1500000000.000000123 record={"bad":"one","text":"\\u001b[2J"}' in dumped


async def test_an_error_inside_the_error_label_is_not_sent_there_again() -> None:
    """Fluentd recurses here until its stack ends; we say it and go on."""
    text = """
    <filter **>
      @type mark
      word one
    </filter>
    <match **>
      @type test
    </match>
    <label @ERROR>
      <filter **>
        @type mark
        word one
      </filter>
      <match **>
        @type test
        name errors
      </match>
    </label>
    """
    async with pipeline(text + QUIET, Mark) as running:
        await running.feed("a", {"bad": "one"})
        await running.wait_for(lambda: any("dump an error event" in text for text in running.log.texts()))

        assert running.records(name="errors") == []
        assert len(running.errors) == 2


async def test_an_output_that_raises_sends_the_batch_to_the_error_label() -> None:
    """With @ERROR the input is not bothered; without it, it is."""
    text = "<match **>\n@type test\n</match>\n"
    errors = "<label @ERROR>\n<match **>\n@type test\nname errors\n</match>\n</label>\n"
    async with pipeline(text + errors + QUIET) as running:
        running.collector().refuse = OSError("no route")
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: running.records(name="errors") == [{"n": 1}])
    async with pipeline(text + QUIET) as running:
        running.collector().refuse = OSError("no route")
        with pytest.raises(OSError, match="no route"):
            await running.feed("a", {"n": 1})


@pytest.mark.parametrize("refusal", [BufferFull("no room"), RetryLater("not now")])
async def test_an_output_that_asks_for_patience_is_obeyed_by_the_input(refusal: Exception) -> None:
    """What will be accepted later is no dead letter: the input keeps its order and reads again."""
    text = "<match **>\n@type test\n</match>\n<label @ERROR>\n<match **>\n@type test\nname errors\n</match>\n</label>\n"
    async with pipeline(text + QUIET) as running:
        running.collector().refuse = refusal
        with pytest.raises(type(refusal)):
            await running.feed("a", {"n": 1})
        assert running.errors == []


async def test_our_own_log_goes_to_its_label() -> None:
    """What is logged while running arrives as fluent.LEVEL events."""
    text = (
        "<match a>\n@type test\n</match>\n<label @FLUENT_LOG>\n<match **>\n@type test\nname log\n</match>\n</label>\n"
    )
    async with pipeline(text) as running:
        await running.feed("unwanted", {})
        await running.wait_for(lambda: running.events("fluent.warn", name="log"))

        (event,) = running.events("fluent.warn", name="log")
        assert event.record["message"] == "no patterns matched tag='unwanted'"


@pytest.mark.parametrize(
    "errors", ["", "<label @ERROR>\n<filter **>\n@type broken\n</filter>\n<match **>\n@type null\n</match>\n</label>"]
)
async def test_a_log_event_that_fails_is_no_new_log_event(errors: str) -> None:
    """Else each message would quote the one before, and the log would grow without end."""
    clock = ManualClock()
    text = "<filter **>\n@type broken\n</filter>\n<match **>\n@type test\n</match>\n" + errors
    async with pipeline(text, Broken, clock=clock) as running:
        await running.feed("app", {})

        async def some_seconds() -> None:
            for _ in range(5):
                await running.graph.world.dead_letters.settle()
                await clock.advance(1)

        await some_seconds()
        failed = [tag for tag, *_ in running.errors]
        assert {"app", "fluent.warn"} == set(failed)
        await some_seconds()
        assert len(running.errors) == len(failed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<match a>\n@type test\n@label @NO\n</match>", 'label "@NO" is not defined'),
        ("<label @A>\n</label>", "a label needs at least one <match>"),
        ("<label>\n<match **>\n@type test\n</match>\n</label>", "a label needs a name"),
        ("<match /a>\n@type test\n</match>", "the regular expression /a is not closed"),
        ("<match a>\n</match>", 'missing "@type"'),
        ("<match a>\n@type tset\n</match>", 'unknown output plugin "tset"'),
        ("<match a>\n@type test\n@id x\n</match>\n<match b>\n@type test\n@id x\n</match>", 'duplicated plugin id "x"'),
    ],
)
async def test_mistakes_in_the_graph_have_a_place(text: str, expected: str) -> None:
    """Each is reported with file, line and column."""
    with pytest.raises(ConfigError) as raised:
        async with pipeline(text):
            pass
    assert expected in str(raised.value)
    assert str(raised.value).startswith("test.conf:")


async def test_all_mistakes_are_found_in_one_run() -> None:
    """An operator mends ten mistakes in one go."""
    text = "<source>\n@type nope\n</source>\n<match a>\n@type nope\n</match>\n<filter b>\n@type mark\n</filter>\n"
    with pytest.raises(ConfigError) as raised:
        async with pipeline(text, Mark):
            pass
    assert len(raised.value.diagnostics) == 3


async def test_what_stands_in_a_worker_comes_after_the_rest() -> None:
    """A root match beats a worker's, and other workers' sections are not there."""
    text = """
    <system>
      workers 2
    </system>
    <worker 0>
      <match a>
        @type test
        name worker
      </match>
      <match b>
        @type test
        name worker_b
      </match>
    </worker>
    <worker 1>
      <match c>
        @type test
        name other
      </match>
    </worker>
    <match a>
      @type test
      name root
    </match>
    """
    async with pipeline(text + QUIET) as running:
        await running.feed("a", {})
        await running.feed("b", {})
        assert len(running.records(name="root")) == 1
        assert len(running.records(name="worker_b")) == 1
        names: list[Any] = [stage.plugin.options for stage in running.graph.stages.outputs]
        assert "other" not in {getattr(options, "name", "") for options in names}


async def test_a_tag_pattern_that_takes_too_long() -> None:
    """Events with the tag it takes too long on go to @ERROR, each time, and others on their way."""
    hopeless = "a" * 40 + "b"
    async with pipeline("<match /(a+)+/>\n  @type test\n</match>\n" + QUIET) as running:
        await running.feed(hopeless, {"n": 1})
        await running.feed(hopeless, {"n": 2})
        await running.feed("aa", {"n": 3})

        assert running.records() == [{"n": 3}]
        assert [(tag, str(error)) for tag, _, _, error in running.errors] == [
            (hopeless, "a regular expression took more than 0.5 s on one event; simplify it")
        ] * 2
