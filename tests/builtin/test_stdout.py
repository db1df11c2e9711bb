"""The output and the filter that print."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.console import write_lines
from logpipe.builtin.filter_stdout import StdoutFilter
from logpipe.builtin.out_stdout import Stdout
from logpipe.testing import check_plugin, drive, pipeline

TIME = 1466000000_123456789
FORMAT = "<format>\n@type out_file\nutc true\n</format>\n"
LINE = '2016-06-15T14:13:20Z\tapp\t{"n":1}\n'


async def test_keep_the_contract() -> None:
    """Plugins like any other."""
    await check_plugin(Stdout)
    await check_plugin(StdoutFilter)


@pytest.mark.parametrize("conf", [FORMAT, f"use_logger false\n{FORMAT}"])
async def test_output_prints(conf: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Each event is a line on standard output."""
    async with drive(Stdout, conf) as stage:
        await stage.feed("app", {"n": 1}, {"n": 1}, times=[TIME, TIME])
        assert capfdbinary.readouterr().out.decode() == LINE * 2


async def test_default_line(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Without a `<format>` it is time, tag and JSON."""
    async with drive(Stdout) as stage:
        await stage.feed("app", {"text": "日本"}, times=[TIME])
        printed = capfdbinary.readouterr().out.decode()
    assert printed.endswith(' app: {"text":"日本"}\n')
    assert ".123456789 " in printed


async def test_output_buffered(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """With a `<buffer>` it prints a chunk at a time, the rest at shutdown."""
    async with drive(Stdout, f"{FORMAT}<buffer>\n</buffer>") as stage:
        await stage.feed("app", {"n": 1}, times=[TIME])
        assert capfdbinary.readouterr().out == b""
    assert capfdbinary.readouterr().out.decode() == LINE


async def test_every_event_has_its_line(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A format without a newline, or with another one, is given one."""
    for settings in ("add_newline false", "newline crlf"):
        async with drive(Stdout, f"<format>\n@type json\n{settings}\n</format>") as stage:
            await stage.feed("app", {"n": 1}, {"n": 2})
            assert capfdbinary.readouterr().out == b'{"n":1}\n{"n":2}\n'


async def test_0_12_parameters(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Flat `format`, `include_tag_key` and the like are understood."""
    conf = "format json\ninclude_tag_key true\ntag_key where\ninclude_time_key true\ntime_format %Y\nutc"
    async with drive(Stdout, conf) as stage:
        await stage.feed("app", {"n": 1}, times=[TIME])
        assert capfdbinary.readouterr().out == b'{"n":1,"where":"app","time":"2016"}\n'


async def test_an_output_type_that_is_not_known() -> None:
    """Is named with the place of the word; a setting that nobody has is warned of once, whoever reads it."""
    with pytest.raises(ConfigError) as caught:
        async with pipeline("<match **>\n@type stdout\n output_type  cvs\n</match>"):
            pass
    (found,) = caught.value.diagnostics
    assert (found.position.line, found.position.column) == (3, 15)
    assert "cvs" in str(found)
    text = "<match **>\n@type stdout\n<format>\noutput_type ltsv\ntime_format %Y\nx 1\n</format>\n</match>"
    async with pipeline(text) as running:
        assert [each.message for each in running.warnings if "not used" in each.message] == [
            '<format> @type ltsv: parameter "x" is not used'
        ]


async def test_bad_record(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """What cannot be written goes to @ERROR, the rest is printed."""
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    async with drive(Stdout, "<format>\n@type json\n</format>") as stage:
        await stage.feed("app", {"n": 1}, {"deep": deep}, {"n": 2})
        assert capfdbinary.readouterr().out == b'{"n":1}\n{"n":2}\n'
        assert [record for _, _, record, _ in stage.errors] == [{"deep": deep}]


async def test_filter_passes_what_it_cannot_print(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """It is an error and goes on all the same: one event more, which the ledger is told of."""
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    async with drive(StdoutFilter, "<format>\n@type json\n</format>") as stage:
        await stage.feed("app", {"n": 1}, {"deep": deep})
        assert capfdbinary.readouterr().out == b'{"n":1}\n'
        assert (len(stage.errors), len(stage.records())) == (1, 2)


async def test_filter_prints_and_passes_on(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The events go on as they are; what is injected is only printed."""
    async with drive(StdoutFilter, "<format>\n@type json\n</format>\n<inject>\ntag_key tag\n</inject>") as stage:
        await stage.feed("app", {"n": 1})
        assert stage.records() == [{"n": 1}]
        assert capfdbinary.readouterr().out == b'{"n":1,"tag":"app"}\n'


async def test_secondary_of_an_output_that_keeps_records(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """As `<secondary>` it prints chunks that another output left unencoded."""
    text = """
        <match app>
          @type null
          never_flush true
          <buffer>
            flush_mode immediate
            retry_max_times 1
            retry_wait 0.01
          </buffer>
          <secondary>
            @type stdout
            <format>
              @type json
            </format>
          </secondary>
        </match>
    """
    async with pipeline(text) as running:
        await running.feed("app", {"n": 1})
        await running.wait_for(lambda: running.metric("write_secondary_count") == 1)
    assert b'{"n":1}\n' in capfdbinary.readouterr().out


def test_lines_go_where_the_log_goes(tmp_path: Path) -> None:
    """With the log in a file, lines are written between its own."""
    log = logging.getLogger("test_stdout.file")
    handler = logging.FileHandler(tmp_path / "log", encoding="ascii")
    log.addHandler(handler)
    try:
        log.warning("one")
        write_lines(logging.LoggerAdapter(log.getChild("plugin"), {}), "zwei: ü\n".encode())
        log.warning("three")
    finally:
        log.removeHandler(handler)
        handler.close()
    assert (tmp_path / "log").read_text(encoding="utf-8") == "one\nzwei: ü\nthree\n"
