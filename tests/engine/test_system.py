"""`<system>`: what holds for every plugin."""

from __future__ import annotations

import pytest

from logpipe import ConfigError
from logpipe.testing import ManualClock, pipeline

TEXT = """
<system>
  %s
</system>
<filter **>
  @type record_transformer
  enable_ruby
  <record>
    n ${record["n"]}
  </record>
</filter>
<match **>
  @type test
</match>
<label @FLUENT_LOG>
  <match **>
    @type test
    name own_log
  </match>
</label>
"""


@pytest.mark.parametrize(("line", "expected"), [("compat 1", 5), ("compat 0.12", "5")])
async def test_compat_holds_for_every_plugin_that_knows_it(line: str, expected: object) -> None:
    """0.12 makes text of every value unless it is told otherwise."""
    async with pipeline(TEXT % line) as running:
        await running.feed("a", {"n": 5})
        assert running.records() == [{"n": expected}]


@pytest.mark.parametrize(("line", "is_refused"), [("strict_config_value true", True), ("log_level info", False)])
async def test_strict_values_are_refused(line: str, is_refused: bool) -> None:  # noqa: FBT001 - a table of cases
    """What Fluentd takes the beginning of is a mistake only where strictness is asked for."""
    text = TEXT % line
    text += "<match later>\n  @type null\n  <buffer>\n    flush_thread_count 2x\n  </buffer>\n</match>\n"
    if is_refused:
        with pytest.raises(ConfigError, match="flush_thread_count"):
            async with pipeline(text):
                pass
        return
    async with pipeline(text) as running:
        assert len(running.graph.outlets) == 1


async def test_there_is_one_system() -> None:
    """As in Fluentd."""
    with pytest.raises(ConfigError, match="should be only one"):
        async with pipeline(TEXT % "compat 1\n</system>\n<system>"):
            pass


@pytest.mark.parametrize(("line", "count"), [("without_source true", 0), ("without_source false", 1)])
async def test_sources_that_are_left_out(line: str, count: int) -> None:
    """As by `--without-source`."""
    source = "<source>\n@type sample\ntag a\nrate 0\n</source>\n"
    async with pipeline(source + TEXT % line) as running:
        assert len(running.graph.stages.inputs) == count


@pytest.mark.parametrize(("line", "count"), [("log_event_verbose true", 1), ("log_event_verbose false", 0)])
async def test_log_events_of_the_stop(line: str, count: int) -> None:
    """Those that are still kept then, for `@FLUENT_LOG`."""
    async with pipeline(TEXT % line, clock=ManualClock()) as running:
        running.graph._log.warning("about to stop")
    told = [record for record in running.records("fluent.warn", name="own_log") if record["message"] == "about to stop"]
    assert len(told) == count
