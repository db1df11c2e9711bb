"""Events through commands that go on running."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import msgpack
import pytest

from logpipe import ConfigError
from logpipe.builtin.out_exec_filter import ExecFilter, children
from logpipe.testing import ManualClock, Pipeline, check_plugin, configure, pipeline
from tests.processes.life import is_gone

TIME = 1_293_974_055_000_000_000  # 2011-01-02 13:14:15 UTC
JSON = "<format>\n@type json\n</format>\n<parse>\n@type json\n</parse>\n"
SOON = "<buffer>\nflush_interval 0.01\nretry_wait 0.02\nretry_randomize false\n</buffer>\n"
BY_TAG = SOON.replace("<buffer>", "<buffer tag>")


def through(conf: str, system: str = "") -> str:
    """Return a configuration that sends all of `in.**` through commands."""
    collect = "<match **>\n@type test\n</match>\n"
    own = "<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n</label>\n"
    return f"{system}<match in.**>\n@type exec_filter\n{conf}\n</match>\n{collect}{own}"


async def seen(running: Pipeline, count: int) -> list[Any]:
    """Return tag, time and record of each event, when there are so many."""
    collector = running.collector()
    await running.wait_for(lambda: sum(len(events) for _, events in collector.batches) >= count, f"{count} events")
    return [(tag, time, record) for tag, events in collector.batches for time, record in events]


async def healthy(running: Pipeline, count: int = 1) -> None:
    """Wait until so many commands run."""
    await running.wait_for(lambda: running.metric("healthy_children") == count, f"{count} commands")


async def test_keeps_the_contract() -> None:
    """An output like any other."""
    await check_plugin(ExecFilter, f"command cat\ntag t\n{JSON}")


FORMATS = {
    "tsv": (
        "command sed -u s/in.test/test/\nnum_children 3\n"
        "<inject>\ntag_key tag\ntime_key time_in\ntime_type string\ntime_format %Y-%m-%d %H:%M:%S\n</inject>\n"
        '<format>\nkeys ["time_in", "tag", "k1"]\n</format>\n<parse>\nkeys ["time_out", "tag", "k2"]\n</parse>\n'
        "<extract>\ntag_key tag\ntime_key time_out\ntime_type string\ntime_format %Y-%m-%d %H:%M:%S\n</extract>",
        "test",
    ),
    "tsv, flat": (
        "command sed -u s/in.test/test/\nin_keys time_in,tag,k1\nout_keys time_out,tag,k2\ntag_key tag\n"
        "in_time_key time_in\nout_time_key time_out\ntime_format %Y-%m-%d %H:%M:%S\nlocaltime\n"
        "num_children 3\nflush_interval 1s",
        "test",
    ),
    "whole seconds": (
        "command cat\ntag xxx\n<inject>\ntime_key time\n</inject>\n<format>\nkeys time,k1\n</format>\n"
        "<parse>\nkeys time,k2\ntime_key time\ntime_type unixtime\n</parse>",
        "xxx",
    ),
    "whole seconds, flat": ("command cat\nin_keys time,k1\nout_keys time,k2\ntag xxx\ntime_key time", "xxx"),
    "prefixes": (
        "command sed -u -e s/foo/bar/\nremove_prefix in\nadd_prefix out\n<inject>\ntag_key tag\ntime_key time\n"
        "</inject>\n<format>\nkeys tag, time, k1\n</format>\n<parse>\nkeys tag, time, k2\n</parse>\n"
        "<extract>\ntag_key tag\ntime_key time\n</extract>",
        "out.test",
    ),
    "prefixes, flat": (
        "command cat\nin_keys tag,time,k1\nremove_prefix in\nout_keys tag,time,k2\nadd_prefix out\ntag_key tag\n"
        "time_key time",
        "out.test",
    ),
}


@pytest.mark.parametrize(("conf", "tag"), FORMATS.values(), ids=FORMATS)
async def test_formats(conf: str, tag: str) -> None:
    """What fluentd's own tests ask for, in sections and in 0.12's spelling."""
    async with pipeline(through(conf)) as running:
        await running.feed("in.test", {"k1": "1"}, {"k1": "2"}, times=[TIME, TIME])
        await running.flush()
        assert await seen(running, 2) == [(tag, TIME, {"k2": "1"}), (tag, TIME, {"k2": "2"})]


@pytest.mark.parametrize(
    "conf",
    [
        "<format>\n@type tsv\nkeys message\n</format>\n<parse>\n@type json\nstream_buffer_size 1\n</parse>\n"
        "<extract>\ntag_key tag\ntime_key time\n</extract>",
        "in_keys message\nout_format json\nout_stream_buffer_size 1\ntime_key time\ntag_key tag",
    ],
)
async def test_json_that_commands_write(conf: str) -> None:
    """A value may have several lines; its time is a number with a fraction."""
    text = '{"time":1293974055.123,\n"tag":"t1","k1":"v1"}{"time":1,"tag":"t2"}'
    async with pipeline(through(f"command cat\n{conf}")) as running:
        await running.feed("in.a", {"message": text})
        await running.flush()
        found = await seen(running, 2)
        assert found == [("t1", TIME + 123_000_000, {"k1": "v1"}), ("t2", 1_000_000_000, {})]


async def test_msgpack(tmp_path: Path) -> None:
    """In both directions, however it is torn."""
    conf = "<format>\n@type msgpack\n</format>\n<parse>\n@type msgpack\n</parse>\nread_block_size 3\n"
    async with pipeline(through(f"command tee {tmp_path}/seen\ntag t\n{conf}")) as running:
        await running.feed("in.a", {"a": 1, "b": "\n"}, {"c": [1, {"d": None}]})
        await running.flush()
        assert [record for _, _, record in await seen(running, 2)] == [{"a": 1, "b": "\n"}, {"c": [1, {"d": None}]}]
    assert (tmp_path / "seen").read_bytes() == msgpack.packb({"a": 1, "b": "\n"}) + msgpack.packb(
        {"c": [1, {"d": None}]}
    )


async def test_chunks_go_to_commands_in_turn() -> None:
    """To each as many."""
    command = 'while read -r line; do echo "{\\"pid\\":$$}"; done'
    async with pipeline(through(f"command {command}\ntag t\nnum_children 2\n{JSON}{BY_TAG}")) as running:
        await healthy(running, 2)
        for n in range(4):
            await running.feed("in.a", {"n": n})
            await running.flush()
        pids = [record["pid"] for _, _, record in await seen(running, 4)]
    assert pids[:2] == pids[2:]
    assert pids[0] != pids[1]
    assert all(map(is_gone, pids))


async def test_what_commands_have_not_written_yet_is_waited_for_at_the_end() -> None:
    """They find the end of their input, and may then say all; nothing is lost by a stop, or doubled."""
    async with pipeline(through(f"command sort -r\ntag t\n{JSON}{SOON}")) as running:
        for n in range(50):
            await running.feed("in.a", {"n": n + 10})
        await running.flush()
        assert running.records("t") == []
        await running.feed("in.a", {"n": 5}, {"n": 6})  # in a chunk that is not delivered yet
    found = sorted(record["n"] for record in running.records("t"))
    assert found == [5, 6, *range(10, 60)]
    assert not running.log.texts("warning")


async def test_a_stop_does_not_wait_for_a_command_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its time, then it is ended, with all that it has started."""
    monkeypatch.setattr(children, "PATIENCE", 0.1)
    command = 'trap \'\' TERM; sleep 60 & echo "{\\"a\\":$$,\\"b\\":$!}"; cat; wait'
    async with pipeline(through(f"command {command}\ntag t\n{JSON}{SOON}")) as running:
        pids = [*(await seen(running, 1))[0][2].values()]
        assert not any(map(is_gone, pids))
        await running.feed("in.a", {"n": 1})
    await running.wait_for(lambda: all(map(is_gone, pids)), "both to go")
    assert {"n": 1} in running.records("t")


async def test_a_chunk_that_a_command_has_not_read_is_given_to_another() -> None:
    """It ends with the chunk in its pipe: nothing of that is lost."""
    command = "mkdir {}/first 2>/dev/null && sleep 0.3 && exit 1; exec cat"
    with_place = command.format("$PLACE")
    async with pipeline(through(f"command {with_place}\ntag t\nchild_respawn inf\n{JSON}{SOON}")) as running:
        await healthy(running)
        await running.feed("in.a", {"n": 1}, {"n": 2})
        assert [record for _, _, record in await seen(running, 2)] == [{"n": 1}, {"n": 2}]
        assert running.metric("retry_count") >= 1
        assert running.log.texts("info").count("respawning child process num=0 respawn_counter=-1") == 1
    assert any("bytes of its input unread" in text for text in running.log.texts("warning"))


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell commands where they may leave something."""
    monkeypatch.setenv("PLACE", str(tmp_path))


@pytest.mark.parametrize(("respawn", "starts"), [("none", 1), ("0", 1), ("2", 3)])
async def test_how_often_a_command_is_started_again(respawn: str, starts: int, tmp_path: Path) -> None:
    """As often as it says, each time after a longer pause; then its chunks wait, and why is in the log."""
    clock = ManualClock()
    conf = f"command echo x >>{tmp_path}/starts; echo dead >&2; exit 3\ntag t\nchild_respawn {respawn}\n{JSON}"
    conf += "<buffer>\nflush_at_shutdown false\n</buffer>"
    async with pipeline(through(conf), clock=clock) as running:
        pause = children.FIRST_PAUSE
        for turn in range(starts):
            await running.wait_for(lambda: len(_ends(running)) == turn + 1)  # noqa: B023 - it is waited for
            await clock.advance(pause - 0.01)
            assert len((tmp_path / "starts").read_text().split()) == turn + 1
            await clock.advance(0.01)
            pause *= 2
        await clock.advance(60)
        await running.feed("in.a", {"n": 1})
        running.graph.flush()
        await running.wait_for(lambda: running.metric("retry_count"))
        assert not running.metric("healthy_children")
    assert len((tmp_path / "starts").read_text().split()) == starts
    assert _ends(running)[0].endswith("num=0 status=3; the last it said: 'dead'")
    assert any("no healthy child processes exist" in text for text in running.log.texts("warning"))


def _ends(running: Pipeline) -> list[str]:
    return [text for text in running.log.texts("warning") if text.startswith("child process exits with error code")]


async def test_a_command_that_ends_at_once_is_not_started_without_pause(tmp_path: Path) -> None:
    """In a minute it is started a handful of times, and half a minute apart in the end."""
    clock = ManualClock()
    conf = f"command echo x >>{tmp_path}/starts\ntag t\nchild_respawn inf\n{JSON}"
    async with pipeline(through(conf), clock=clock) as running:
        for turn, pause in enumerate([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]):
            await running.wait_for(lambda: len(_ends(running)) == turn + 1)  # noqa: B023 - it is waited for
            await running.wait_for(lambda: clock.sleepers)
            await clock.advance(pause)
        assert len((tmp_path / "starts").read_text().split()) <= 11


async def test_garbage_and_lines_without_end() -> None:
    """Cost nobody else: they are counted and said, and what is right comes."""
    command = "head -c 20000000 /dev/zero | tr '\\0' x; echo; for i in 1 2 3 4 5 6 7 8 9; do echo bad; done; cat"
    async with pipeline(through(f"command {command}\ntag t\n{JSON}{SOON}")) as running:
        await running.feed("in.a", {"n": 1})
        assert [record for _, _, record in await seen(running, 1)] == [{"n": 1}]
        assert running.metric("oversized_messages") + running.metric("unmatched_lines") == 10


@pytest.mark.parametrize(("interval", "said"), [("0", 6), ("5m", 1)])
async def test_suppress_error_log_interval(interval: str, said: int) -> None:
    """One message in that time; or five a minute, and how many more."""
    command = "for i in 1 2 3 4 5 6 7 8 9; do echo bad; done; cat"
    conf = f"command {command}\ntag t\nsuppress_error_log_interval {interval}\n{JSON}{SOON}"
    async with pipeline(through(conf)) as running:
        await running.wait_for(lambda: running.metric("unmatched_lines") == 9)
    assert len([text for text in running.log.texts("warning") if "what is not in the format" in text]) == said


async def test_a_flood_on_standard_error_stops_nobody() -> None:
    """It is read, and thrown away but for the last."""
    async with pipeline(
        through(f"command head -c 5000000 /dev/zero >&2; cat\ntag t\n{JSON}{SOON}"),
    ) as running:
        await running.feed("in.a", {"n": 1})
        await seen(running, 1)


async def test_a_command_waits_for_outputs() -> None:
    """What is not taken behind it makes it wait, and then its chunks; nothing is lost of that."""
    async with pipeline(through(f"command cat\ntag t\n{JSON}{SOON}")) as running:
        collector = running.collector()
        collector.open.clear()
        records: list[dict[str, Any]] = [{"n": n, "text": "x" * 1000} for n in range(2000)]
        feeding = asyncio.gather(*(running.feed("in.a", *records[n : n + 100]) for n in range(0, 2000, 100)))
        await running.wait_for(lambda: running.metric("healthy_children"))
        await feeding
        collector.open.set()
        assert sorted(record["n"] for _, _, record in await seen(running, 2000)) == [*range(2000)]


async def test_a_command_that_is_killed_while_it_works() -> None:
    """What it had read is gone, which is said; what comes then goes to the next."""
    command = 'read -r line; echo "{\\"pid\\":$$}"; exec cat'
    async with pipeline(through(f"command {command}\ntag t\nchild_respawn 1\n{JSON}{SOON}")) as running:
        await running.feed("in.a", {"n": 1})
        pid = (await seen(running, 1))[0][2]["pid"]
        os.kill(pid, signal.SIGKILL)
        await running.wait_for(lambda: _ends(running))
        await running.feed("in.a", {"n": 2}, {"n": 3})
        assert (await seen(running, 3))[2][2] == {"n": 3}
    assert "signal=9 (SIGKILL)" in _ends(running)[0]


async def test_a_stalled_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it reads nothing and writes nothing; its chunk stays."""
    monkeypatch.setattr(children, "STALLED", 0.05)
    conf = f"command sleep 60\ntag t\n{JSON}<buffer>\nflush_interval 0.01\n</buffer>"
    async with pipeline(through(conf, "<system>\nshutdown_timeout 0.1\n</system>\n")) as running:
        await healthy(running)
        await running.feed("in.a", {"n": 1})
        await running.wait_for(lambda: any("has not read what it was given" in t for t in running.log.texts("warning")))


async def test_what_events_say_is_no_command(tmp_path: Path) -> None:
    """Neither tag nor record gets into the shell."""
    bad = f"$(touch {tmp_path}/bad)`touch {tmp_path}/bad`;touch {tmp_path}/bad;'\""
    conf = f"command cat; echo '${{tag}}' >{tmp_path}/command\ntag t\n<inject>\ntag_key tag\n</inject>\n{JSON}{BY_TAG}"
    async with pipeline(through(conf)) as running:
        await running.feed(f"in.{bad}", {"m": bad})
    assert running.records("t") == [{"m": bad, "tag": f"in.{bad}"}]
    assert (tmp_path / "command").read_text() == "${tag}\n"
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("command cat", "'tag' or '<extract> tag_key </extract>' option is required"),
        ("tag t", '"command" is required'),
        ("command cat\ntag t\nnum_children 0", "num_children must be at least 1"),
        ("command cat\ntag t\nchild_respawn often", r"none\(or 0\), inf\(or -1\) or positive number"),
        ("command cat\ntag t\nchild_respawn -2", r"none\(or 0\), inf\(or -1\) or positive number"),
    ],
)
def test_what_cannot_be(conf: str, said: str) -> None:
    """Is said, with its place."""
    with pytest.raises(ConfigError, match=said):
        configure(ExecFilter, f"{conf}\n{JSON}")


async def test_a_circle_is_said() -> None:
    """A tag that comes back to the same commands, which may drop it."""
    source = "<source>\n@type sample\ntag in.a\nrate 0\n</source>\n"
    for tag, count in (("in.again", 1), ("out", 0)):
        async with pipeline(source + through(f"command cat\ntag {tag}\n{JSON}")) as running:
            said = [str(each) for each in running.warnings if each.code == "routing-circle"]
            assert len(said) == count
            assert all("events may go round for ever" in text for text in said)
