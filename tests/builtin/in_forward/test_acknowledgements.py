"""When a sender is told that its events are safe, and what happens where they are not taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from logpipe.builtin.in_forward import Forward, session
from logpipe.testing import ManualClock, drive, pipeline
from tests.builtin.in_forward.sender import QUIET, beside, connected, packed, port_of, several, single

LOCAL = "bind 127.0.0.1\nport 0\n"
BUFFERED = (
    "<source>\n@type forward\nbind 127.0.0.1\nport 0\n</source>\n<match **>\n@type file\npath {path}/out\nappend true\n"
)
BUFFERED += "<buffer>\n@type memory\n{settings}\n</buffer>\n</match>\n"


async def test_not_before_the_output_has_them() -> None:
    """What is sent behind is not read meanwhile."""
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        collector = running.collector()
        collector.open.clear()
        sender.send(several({"k": 1}, chunk="c"))
        waiting = beside(sender.acknowledgement())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        collector.open.set()
        assert await waiting == "c"


async def test_a_memory_buffer_does_not_keep_senders_waiting(tmp_path: Path) -> None:
    """Fluentd's default of 60 seconds is longer than many of them wait."""
    clock = ManualClock()
    text = BUFFERED.format(path=tmp_path, settings="flush_interval 60s") + QUIET
    async with pipeline(text, clock=clock) as running, connected(port_of(running)) as sender:
        sender.send(several({"k": 1}, chunk="c"))
        await running.wait_for(lambda: running.metric("buffer_stage_length"))
        waiting = beside(sender.acknowledgement())
        await clock.advance(3)
        assert await waiting == "c"


async def test_a_stop_delivers_and_acknowledges(tmp_path: Path) -> None:
    """What has come before it is told of before the connection is closed."""
    text = BUFFERED.format(path=tmp_path, settings="flush_interval 1h\nflush_at_shutdown true") + QUIET
    async with pipeline(text, clock=ManualClock()) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
        writer.write(several({"k": 1}, chunk="c"))
        await running.wait_for(lambda: running.metric("buffer_stage_length"))
    assert await reader.read() == packed({"ack": "c"})
    writer.close()


async def test_a_stop_waits_for_what_is_under_way() -> None:
    """The rest of a message, and what the kernel has: a sender without acknowledgements takes it for sent."""
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        plugin, message = running.plugin(Forward), several({"k": 1})
        async with connected(port_of(running)) as idle:
            sender.send(message[:-5])
            await running.wait_for(lambda: any(each._is_busy for each in plugin._sessions._open))
            stopping = beside(plugin.quiesce())
            assert await idle.ended() == b""
        assert not stopping.done()
        sender.send(message[-5:] + several({"k": 2}))
        await stopping
        assert running.records() == [{"k": 1}, {"k": 2}]


async def test_a_stop_is_told_before_the_connection_ends() -> None:
    """What a sender has written before it noticed is read, though nothing of it is acknowledged any more."""
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        plugin = running.plugin(Forward)
        await running.wait_for(lambda: plugin._sessions._open)
        stopping = beside(plugin.quiesce())
        assert await sender.reader.read() == b""
        sender.send(several({"k": 1}), several({"k": 2}, chunk="c"))
        sender.writer.write_eof()
        await stopping
        assert running.records() == [{"k": 1}, {"k": 2}]
        assert not running.log.texts("error")


async def test_a_stop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second, for a sender that does not go on."""
    monkeypatch.setattr(session, "HURRY", 0.05)
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        plugin = running.plugin(Forward)
        sender.send(several({"k": 1})[:-5])
        await running.wait_for(lambda: any(each._is_busy for each in plugin._sessions._open))
        await plugin.quiesce()
        assert await sender.ended() == b""
    assert running.records() == []


async def test_what_is_not_taken_is_sent_again() -> None:
    """Its connection is closed without an acknowledgement; what it does not wait for is tried again."""
    clock = ManualClock()
    async with drive(Forward, LOCAL, clock=clock) as running:
        collector = running.collector()
        collector.refuse = ValueError("full")
        async with connected(port_of(running)) as sender:
            sender.send(several({"k": 1}, chunk="c"))
            assert await sender.ended() == b""
        async with connected(port_of(running)) as sender:
            sender.send(several({"k": 2}))
            await running.wait_for(lambda: "trying again in 1 seconds" in "\n".join(running.log.texts("warning")))
            collector.refuse = None
            await clock.advance(2)
            await running.wait_for(running.records)
        assert running.records() == [{"k": 2}]
        assert any("it has to send them again" in text for text in running.log.texts("warning"))


async def test_what_nobody_waits_for_is_lost_at_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """And counted, and said."""
    monkeypatch.setattr(session, "HURRY", 0.05)
    async with drive(Forward, LOCAL, clock=ManualClock()) as running, connected(port_of(running)) as sender:
        running.collector().refuse = ValueError("full")
        sender.send(several({"k": 1}, {"k": 2}))
        await running.wait_for(lambda: "trying again" in "\n".join(running.log.texts("warning")))
    assert running.metric("lost_records") == 2
    assert any("2 events are lost" in text for text in running.log.texts("warning"))


async def test_senders_wait_where_outputs_do() -> None:
    """A connection whose events are not taken is not read; others are, and everything arrives in the end."""
    async with drive(Forward, LOCAL) as running, connected(port_of(running)) as sender:
        collector = running.collector()
        collector.open.clear()
        message = several(*[{"n": 1, "text": "x" * 1000}] * 500)
        sender.send(message * 40)  # 20 MB: more than the kernel has room for
        async with connected(port_of(running)) as other:
            other.send(b"\x01")
            await other.ended()
        assert sender.writer.transport.get_write_buffer_size() > 1_000_000
        collector.open.set()
        await running.wait_for(lambda: sum(len(events) for _, events in collector.batches) == 20_000)


async def test_only_so_many_are_owed(tmp_path: Path) -> None:
    """A sender that never waits has its connection read no further than some messages beyond what is safe."""
    clock, count = ManualClock(), 12_000
    text = BUFFERED.format(path=tmp_path, settings="flush_interval 60s") + QUIET
    async with pipeline(text, clock=clock) as running, connected(port_of(running)) as sender:
        sender.send(b"".join(single({"n": number}, chunk=str(number)) for number in range(count)))
        connections = running.plugin(Forward)._listener._open
        await running.wait_for(lambda: connections)
        (connection,) = connections
        await running.wait_for(lambda: connection._reader._paused, "the connection to be read no more")
        assert 1024 <= running.metric("taken_records") < count / 2
        (outlet,) = running.graph.outlets
        while outlet.staging.taken.value < count:
            await clock.advance(1)
        waiting = beside(sender.acknowledgement())
        await clock.advance(3)
        assert await waiting == "0"


async def test_who_goes_is_not_waited_for_ever() -> None:
    """A sender that closes its side gets its acknowledgement for half a minute more."""
    clock = ManualClock()
    async with drive(Forward, LOCAL, clock=clock) as running:
        plugin, collector = running.plugin(Forward), running.collector()
        collector.open.clear()
        async with connected(port_of(running)) as sender:
            sender.send(several({"k": 1}, chunk="c"))
            sender.writer.write_eof()
            collector.open.set()
            assert await sender.ended() == packed({"ack": "c"})
        await running.wait_for(lambda: not plugin._listener.connections)
