"""Events of what a command writes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgpack
import pytest

from logpipe import ConfigError
from logpipe.builtin.in_exec import Exec
from logpipe.testing import ManualClock, Pipeline, check_plugin, configure, drive, pipeline
from tests.processes.life import is_gone

NONE = "\n<parse>\n@type none\n</parse>"
TIME = 1_293_974_055_000_000_000  # 2011-01-02 13:14:15 UTC


async def seen(running: Pipeline, count: int) -> list[Any]:
    """Return tag, time and record of each event, when there are so many."""
    collector = running.collector()
    await running.wait_for(lambda: sum(len(events) for _, events in collector.batches) >= count, f"{count} events")
    return [(tag, time, record) for tag, events in collector.batches for time, record in events]


async def test_keeps_the_contract() -> None:
    """An input like any other."""
    await check_plugin(Exec, "command true\ntag t\nkeys a")


def printing(text: str | bytes) -> str:
    """Return a command that writes a text."""
    data = text if isinstance(text, bytes) else text.encode()
    return "printf " + "".join(f"\\\\{byte:03o}" for byte in data)


FORMATS = {
    "tsv": (
        f"command {printing('2011-01-02 13:14:15' + chr(9) + 'tag1' + chr(9) + 'ok' + chr(10))}\n"
        "<parse>\n@type tsv\nkeys time, tag, k1\n</parse>\n<extract>\ntag_key tag\ntime_key time\ntime_type string\n"
        "time_format %Y-%m-%d %H:%M:%S\nutc true\n</extract>",
        "tag1",
    ),
    "json": (
        'command echo \'{"time":1293974055,"tag":"tag1","k1":"ok"}\'\n'
        "<parse>\n@type json\n</parse>\n<extract>\ntag_key tag\ntime_key time\ntime_type unixtime\n</extract>",
        "tag1",
    ),
    "msgpack": (
        f"command {printing(msgpack.packb({'time': 1293974055, 'tag': 'tag1', 'k1': 'ok'}))}\n"
        "<parse>\n@type msgpack\n</parse>\n<extract>\ntag_key tag\ntime_key time\ntime_type unixtime\n</extract>",
        "tag1",
    ),
    "regexp": (
        "command echo '2011-01-02 13:14:15 ok'\ntag regex_tag\n<parse>\n@type regexp\n"
        "expression /^(?<time>[^ ]* [^ ]*) (?<k1>[^ ]*)/\ntime_key time\ntime_format %Y-%m-%d %H:%M:%S\nutc true\n"
        "</parse>",
        "regex_tag",
    ),
    "tsv, flat": (
        f"command {printing('2011-01-02 13:14:15' + chr(9) + 'tag1' + chr(9) + 'ok' + chr(10))}\n"
        "keys time,tag,k1\ntime_key time\ntag_key tag\ntime_format %Y-%m-%d %H:%M:%S\nutc",
        "tag1",
    ),
    "json, flat": (
        'command echo \'{"time":1293974055,"tag":"tag1","k1":"ok"}\'\nformat json\ntag_key tag\ntime_key time',
        "tag1",
    ),
    "regexp, flat": (
        "command echo '2011-01-02 13:14:15 ok'\ntag regex_tag\ntime_format %Y-%m-%d %H:%M:%S\nutc true\n"
        "format /^(?<time>[^ ]* [^ ]*) (?<k1>[^ ]*)/\ntime_key time",
        "regex_tag",
    ),
}


@pytest.mark.parametrize(("conf", "tag"), FORMATS.values(), ids=FORMATS)
async def test_formats(conf: str, tag: str) -> None:
    """What fluentd's own tests ask for, in sections and in 0.12's spelling."""
    async with drive(Exec, conf) as running:
        assert await seen(running, 1) == [(tag, TIME, {"k1": "ok"})]


async def test_an_event_without_a_time_has_the_current_one() -> None:
    """A field `time` is no time by itself, whatever the parser."""
    clock = ManualClock()
    conf = 'command echo \'{"time":1,"a":2}\'\ntag t\n<parse>\n@type json\n</parse>'
    async with drive(Exec, conf, clock=clock) as running:
        assert await seen(running, 1) == [("t", clock.now(), {"time": 1, "a": 2})]


def test_defaults_of_sections() -> None:
    """A time is a number, unless its format is written; what is written holds."""
    options: Any = configure(Exec, "command c\ntag t\n<parse>\nkeys a\n</parse>\n<extract>\n</extract>")
    parse = options.parse.options
    assert (options.parse.type, parse.time_type, parse.time_key, parse.estimate_current_event) == (
        "tsv", "float", None, False,
    )  # fmt: skip
    assert options.extract.time_type == "float"
    written = "time_key b\ntime_format %s\nestimate_current_event true"
    options = configure(
        Exec, f"command c\ntag t\n<parse>\n@type json\n{written}\n</parse>\n<extract>\ntime_format %s\n</extract>"
    )
    parse = options.parse.options
    assert (parse.time_type, parse.time_key, parse.estimate_current_event) == ("string", "b", True)
    assert options.extract.time_type == "string"


async def test_it_is_run_once_and_not_again() -> None:
    """Without `run_interval`; that it has failed is said, with the last that it has said."""
    async with drive(Exec, "command echo a; echo 'oh\tno' >&2; exit 3\ntag t" + NONE) as running:
        assert (await seen(running, 1))[0][2] == {"message": "a"}
        await running.wait_for(lambda: running.log.texts("warning"))
        assert running.metric("runs") == running.metric("failed_runs") == 1
    (said,) = running.log.texts("warning")
    assert said == (
        "command exits with error code status=3; the last it said: 'oh\\tno'; it is not started again: "
        "run_interval does that"
    )


async def test_run_interval(tmp_path: Path) -> None:
    """First after so long; where a run takes longer, the next is left out."""
    clock = ManualClock()
    os.mkfifo(tmp_path / "fifo")
    async with drive(Exec, f"command cat {tmp_path}/fifo\ntag t\nrun_interval 5" + NONE, clock=clock) as running:
        await running.wait_for(lambda: clock.sleepers)
        await clock.advance(4)
        assert not running.metric("runs")
        await clock.advance(1)
        await running.wait_for(lambda: running.metric("runs") == 1)
        await clock.advance(5)
        await running.wait_for(lambda: running.log.texts("warning"))
        with (tmp_path / "fifo").open("w") as fifo:
            fifo.write("a\nb")
        assert [record for _, _, record in await seen(running, 2)] == [{"message": "a"}, {"message": "b"}]
        await running.wait_for(running.plugin(Exec)._idle.is_set)
        await clock.advance(5)
        await running.wait_for(lambda: running.metric("runs") == 2)
    assert running.log.texts("warning") == ["previous child process is still running. skipped. interval=5"]


async def test_command_timeout() -> None:
    """A run that takes longer is ended, and what it has written is there."""
    clock = ManualClock()
    async with drive(Exec, "command echo a; sleep 60\ntag t\ncommand_timeout 3" + NONE, clock=clock) as running:
        await seen(running, 1)
        await clock.advance(3)
        await running.wait_for(running.plugin(Exec)._idle.is_set)
        assert running.metric("failed_runs") == 1
    assert running.log.texts("warning") == ["child process timed out: it is ended after 3 seconds"]


@pytest.mark.parametrize(("mode", "records"), [("read", ["out"]), ("read_with_stderr", ["err", "out"])])
async def test_connect_mode(mode: str, records: list[str]) -> None:
    """Standard error is read where it is asked for."""
    async with drive(Exec, f"command echo err >&2; echo out\ntag t\nconnect_mode {mode}" + NONE) as running:
        await seen(running, len(records))
        await running.wait_for(running.plugin(Exec)._idle.is_set)
        assert [record["message"] for record in running.records()] == records


@pytest.mark.parametrize(
    ("encoding", "data", "text"),
    [
        ("euc-jp", "ひらがな".encode("euc-jp"), "ひらがな"),
        ("Windows-31J", "漢字".encode("cp932"), "漢字"),
        ("utf-8", "漢字".encode(), "漢字"),
        ("euc-jp", b"a\xff", "a\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_encoding(encoding: str, data: bytes, text: str) -> None:
    """Text of another encoding, also where it comes byte by byte."""
    conf = f"command {printing(data)}\ntag t\nencoding {encoding}\nread_block_size 1" + NONE
    async with drive(Exec, conf) as running:
        assert [record for _, _, record in await seen(running, 1)] == [{"message": text}]


async def test_read_block_size() -> None:
    """No more is read at a time."""
    async with drive(Exec, "command printf '1\\n2\\n3\\n4\\n'\ntag t\nread_block_size 4" + NONE) as running:
        await seen(running, 4)
        assert [len(events) for _, events in running.collector().batches] == [2, 2]


async def test_garbage_costs_nobody_else(tmp_path: Path) -> None:
    """What is in no format is counted and said, but not for ever; an event without a tag goes to @ERROR."""
    lines = ["no json"] * 20 + ['{"a":1,"tag":"x"}', '{"b":', "2}", '{"n":1,"tag":"y"}', '{"c":3}']
    (tmp_path / "said").write_text("\n".join(lines))
    conf = f"command cat {tmp_path}/said\n<parse>\n@type json\n</parse>\n<extract>\ntag_key tag\n</extract>"
    async with drive(Exec, conf) as running:
        assert [(tag, record) for tag, _, record in await seen(running, 2)] == [("x", {"a": 1}), ("y", {"n": 1})]
        await running.wait_for(lambda: len(running.errors) == 2)
        assert [record for _, _, record, _ in running.errors] == [{"b": 2}, {"c": 3}]
        assert running.metric("unmatched_lines") == 20
    said = [text for text in running.log.texts("warning") if text.startswith("a command writes what is not")]
    assert len(said) == 6  # five, and how many more


async def test_broken_messagepack_ends_the_run() -> None:
    """Nobody knows where the next value begins; what came before is there."""
    conf = f"command {printing(bytes.fromhex('81a16101c1'))}; sleep 60\ntag t\n<parse>\n@type msgpack\n</parse>"
    async with drive(Exec, conf + "\nread_block_size 4") as running:
        assert (await seen(running, 1))[0][2] == {"a": 1}
        await running.wait_for(running.plugin(Exec)._idle.is_set)
    assert len([text for text in running.log.texts("error") if "is ended, for what it writes" in text]) == 1


async def test_a_line_without_end() -> None:
    """It is left out, in bounded memory, and what comes behind it is not."""
    command = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last"
    async with drive(Exec, f"command {command}\ntag t\nread_block_size 1m" + NONE) as running:
        assert [record for _, _, record in await seen(running, 1)] == [{"message": "last"}]
        assert running.metric("oversized_messages") == 1


async def test_a_command_waits_for_outputs() -> None:
    """What nobody takes is not read, and nothing is lost of it."""
    count = 20_000
    async with drive(Exec, f"command seq {count}; echo over >&2\ntag t" + NONE) as running:
        collector = running.collector()
        collector.refuse = RuntimeError("no")
        await running.wait_for(lambda: running.log.texts("warning"), "a refusal")
        child = running.plugin(Exec)._child
        await running.wait_for(lambda: child._output is not None and not child.is_silent)
        assert child.last_words == "nothing"
        collector.refuse = None
        records = [record["message"] for _, _, record in await seen(running, count)]
        assert records == [str(number) for number in range(1, count + 1)]


async def test_what_it_writes_at_the_end_is_emitted() -> None:
    """A worker that stops sends SIGTERM, and reads what comes then."""
    command = "trap 'echo bye; exit' TERM; echo $$; while :; do sleep 0.01; done"
    async with drive(Exec, f"command {command}\ntag t" + NONE) as running:
        pid = int((await seen(running, 1))[0][2]["message"])
    assert [record["message"] for record in running.records()] == [str(pid), "bye"]
    assert is_gone(pid)
    assert not running.log.texts("warning")


async def test_a_stubborn_command_does_not_outlive_the_worker() -> None:
    """Nor what it has started, which is as stubborn."""
    command = "trap '' TERM; sleep 60 & echo $$ $!; wait; sleep 60"
    async with drive(Exec, f"command {command}\ntag t" + NONE) as running:
        pids = [int(word) for word in (await seen(running, 1))[0][2]["message"].split()]
        assert not any(map(is_gone, pids))
    await running.wait_for(lambda: all(map(is_gone, pids)), "both to go")


async def test_nothing_of_it_is_there_when_it_has_ended(tmp_path: Path) -> None:
    """What a run has left in the background goes with its end, and descriptors do not pile up."""
    clock = ManualClock()
    command = f"sleep 60 >/dev/null 2>&1 & echo $! >> {tmp_path}/pids; echo a"
    async with drive(Exec, f"command {command}\ntag t\nrun_interval 1" + NONE, clock=clock) as running:
        await running.wait_for(lambda: clock.sleepers)
        open_files = 0
        for turn in range(1, 6):
            await clock.advance(1)
            await running.wait_for(lambda: running.metric("runs") == turn)  # noqa: B023 - it is waited for
            await running.wait_for(running.plugin(Exec)._idle.is_set)
            open_files = open_files or len([*Path("/proc/self/fd").iterdir()])
        assert len([*Path("/proc/self/fd").iterdir()]) <= open_files
        pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
        await running.wait_for(lambda: all(map(is_gone, pids)), "all to go")


async def test_nothing_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is to be had: that is said, and the next turn comes."""
    clock = ManualClock()

    def fail(*_: Any, **__: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    async with drive(Exec, "command echo a\ntag t\nrun_interval 1" + NONE, clock=clock) as running:
        await running.wait_for(lambda: clock.sleepers)
        with monkeypatch.context() as patch:
            patch.setattr("subprocess.Popen", fail)
            await clock.advance(1)
            await running.wait_for(lambda: running.log.texts("error"))
        await clock.advance(1)
        await seen(running, 1)
    assert "Resource temporarily unavailable" in running.log.texts("error")[0]


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("command true", "'tag' or 'tag_key' option is required on exec input"),
        ("tag t", '"command" is required'),
        ('command ""\ntag t', "command is empty"),
        ("command true\ntag t\nrun_interval 0", "run_interval must be more than 0"),
        ("command true\ntag t\nencoding klingon", 'unknown encoding name "klingon"'),
        ("command true\ntag t\nconnect_mode write", "connect_mode"),
    ],
)
async def test_what_cannot_be(conf: str, said: str) -> None:
    """Is said, with its place."""
    with pytest.raises(ConfigError, match=said):
        configure(Exec, f"{conf}\n<parse>\n@type none\n</parse>")


async def test_in_one_worker_of_several() -> None:
    """`<worker N>` keeps it to one; without, each has a command of its own, as in Fluentd."""
    assert Exec.several_workers
    text = (
        f"<system>\nworkers 2\n</system>\n<worker 1>\n<source>\n@type exec\ncommand echo a\ntag t{NONE}\n</source>\n"
        "</worker>\n<match t>\n@type test\n</match>\n<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n"
        "</label>\n"
    )
    for worker, count in ((0, 0), (1, 1)):
        async with pipeline(text, worker_id=worker) as running:
            if count:
                await seen(running, count)
            await asyncio.sleep(0)
            assert len(running.graph.stages.inputs) == count
