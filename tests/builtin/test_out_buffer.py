"""A buffer that stands by itself, before the outputs of a label."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.out_buffer import BufferOutput
from logpipe.testing import check_plugin, pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"


def buffered(buffer: str, behind: str = "@type test") -> str:
    """Return a buffer before a label with one output."""
    return f"""
        <match **>
          @type buffer
          @label @BEHIND
          <buffer tag>
            flush_interval 0
            retry_wait 0.01
            {buffer}
          </buffer>
        </match>
        <label @BEHIND>
          <match **>
            {behind}
          </match>
        </label>
        {QUIET}
    """


async def test_keeps_the_contract() -> None:
    """An output like any other."""
    await check_plugin(BufferOutput, "@label @A")


async def test_emits_into_its_label(tmp_path: Path) -> None:
    """Each event under its tag and with its time; in files by default."""
    async with pipeline(buffered(f"path {tmp_path}/buffer")) as running:
        await running.feed("a", {"n": 1}, {"n": 2}, times=[5, 6])
        await running.feed("b", {"n": 3}, times=[7])
        assert list((tmp_path / "buffer").iterdir())
        await running.wait_for(lambda: len(running.records()) == 3)
        assert running.events("a") == [(5, {"n": 1}), (6, {"n": 2})]
        assert running.events("b") == [(7, {"n": 3})]


async def test_what_was_accepted_is_not_emitted_again() -> None:
    """Of a chunk with several batches: only what an output has refused comes again."""
    behind = "@type copy\n<store>\n@type test\n</store>\n<store>\n@type test\nname picky\n</store>"
    async with pipeline(buffered("@type memory\nflush_mode interval\nflush_interval 60", behind)) as running:
        first, picky = running.collector(), running.collector("picky")
        await running.feed("a", {"n": 1})
        await running.feed("a", {"n": 2})
        first.refuse = RuntimeError("no")
        running.graph.flush()
        await running.wait_for(lambda: running.metric("retry_count"))
        first.refuse = None
        await running.wait_for(lambda: running.metric("write_count"))
        assert running.records("a") == [{"n": 1}, {"n": 2}]
        assert running.records("a", name="picky") == [{"n": 1}, {"n": 2}]
        assert picky.refuse is None


async def test_a_chunk_is_kept_until_it_is_delivered_behind(tmp_path: Path) -> None:
    """A buffer in memory behind it has taken the events, and a kill -9 would lose them."""
    behind = "@type null\n<buffer tag>\nflush_interval 60\n</buffer>"
    async with pipeline(buffered(f"path {tmp_path}/buffer", behind)) as running:
        await running.feed("a", {"n": 1})
        inner = next(outlet for outlet in running.graph.outlets if "null" in outlet.host.plugin_id)
        outer = next(outlet for outlet in running.graph.outlets if outlet is not inner)
        await running.wait_for(lambda: not inner.is_idle)
        assert not outer.is_idle
        assert [path for path in (tmp_path / "buffer").iterdir() if path.suffix == ".log"]
        await running.flush()
        assert [path for path in (tmp_path / "buffer").iterdir() if path.suffix == ".log"] == []


async def test_needs_a_label() -> None:
    """Without one it would feed itself."""
    with pytest.raises(ConfigError, match='"@label" is required'):
        async with pipeline(f"<match **>\n@type buffer\n</match>\n{QUIET}"):
            pass
