"""Chunks to commands, each in a file."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgpack
import pytest

from logpipe import ConfigError
from logpipe.builtin import out_exec
from logpipe.builtin.out_exec import ExecOutput
from logpipe.testing import ManualClock, check_plugin, configure, drive, pipeline
from tests.processes.life import is_gone

TIME = 1_293_974_055_000_000_000  # 2011-01-02 13:14:15 UTC
JSON = "\n<format>\n@type json\n</format>\n"
ONCE = "\n<buffer>\nflush_interval 0.01\nretry_wait 60\nflush_at_shutdown false\n</buffer>\n"
SOON = "\n<buffer>\nflush_interval 0.05\nretry_wait 0.05\nretry_randomize false\n</buffer>\n"


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files for commands where the test can see them."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


async def test_keeps_the_contract() -> None:
    """An output like any other."""
    await check_plugin(ExecOutput, "command true\n<format>\nkeys a\n</format>")


FORMATS = {
    "tsv": (
        "<inject>\ntag_key tag\ntime_key time\ntime_format %Y-%m-%d %H:%M:%S\n</inject>\n"
        "<format>\n@type tsv\nkeys time, tag, k1\n</format>",
        b"2011-01-02 13:14:15\ttest\t1\n2011-01-02 13:14:15\ttest\t\xff\n",
    ),
    "tsv, flat": (
        "keys time,tag,k1\ntag_key tag\ntime_key time\ntime_format %Y-%m-%d %H:%M:%S",
        b"2011-01-02 13:14:15\ttest\t1\n2011-01-02 13:14:15\ttest\t\xff\n",
    ),
    "a time without a format": (
        "<inject>\ntime_key time\n</inject>\n<format>\nkeys time\n</format>",
        b"2011-01-02T13:14:15Z\n" * 2,
    ),
    "a zone": (
        "<inject>\ntime_key time\ntimezone +09:00\n</inject>\n<format>\nkeys time\n</format>",
        b"2011-01-02T22:14:15+09:00\n" * 2,
    ),
    "one newline, whatever the formatter's": (
        "<format>\n@type single_value\nmessage_key k1\nadd_newline false\n</format>",
        b"1\n\xff\n",
    ),
    "crlf": ("<format>\n@type tsv\nkeys k1\nnewline crlf\n</format>", b"1\n\xff\n"),
}


@pytest.mark.parametrize(("conf", "expected"), FORMATS.values(), ids=FORMATS)
async def test_formats(conf: str, expected: bytes, tmp_path: Path) -> None:
    """What fluentd's own tests ask for, in sections and in 0.12's spelling."""
    async with drive(ExecOutput, f"command cat >{tmp_path}/out\n{conf}") as running:
        await running.feed("test", {"k1": 1}, {"k1": b"\xff"}, times=[TIME, TIME])
        await running.flush()
    assert (tmp_path / "out").read_bytes() == expected


async def test_msgpack(tmp_path: Path) -> None:
    """Values of bytes, and no newline between them."""
    conf = f"command cat >{tmp_path}/out\n<format>\n@type msgpack\n</format>"
    async with drive(ExecOutput, conf) as running:
        await running.feed("test", {"k1": 10}, {"k1": 2})
        await running.flush()
    assert (tmp_path / "out").read_bytes() == msgpack.packb({"k1": 10}) + msgpack.packb({"k1": 2})


async def test_flat_buffer_is_cut_by_days() -> None:
    """0.12's was a time-sliced output."""
    async with drive(ExecOutput, "command true\nformat json\nflush_interval 1s") as running:
        options = running.graph.outlets[0].staging.options
        assert (options.chunk_keys, options.timekey) == (["time"], 86400)


@pytest.mark.parametrize("buffer", ["@type memory", "@type file\npath {}/buffer"])
async def test_what_fails_is_given_again(buffer: str, tmp_path: Path) -> None:
    """Until the status is 0; the last that the command has said is in the log; no file is left."""
    command = f"test -e {tmp_path}/well || {{ echo 'not\tyet' >&2; exit 7; }}; cat >>{tmp_path}/out"
    conf = f"command {command}{JSON}<buffer>\nretry_wait 0.02\n{buffer.format(tmp_path)}\n</buffer>"
    async with drive(ExecOutput, conf) as running:
        await running.feed("test", {"n": 1})
        running.graph.flush()
        await running.wait_for(lambda: running.metric("retry_count") >= 2)
        (tmp_path / "well").touch()
        await running.flush()
    assert (tmp_path / "out").read_bytes() == b'{"n":1}\n'
    assert "command exits with error code status=7; the last it said: 'not\\\\tyet'" in running.log.texts("warning")[0]
    assert not [*(tmp_path / "tmp").glob("logpipe-out-exec-*")]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("kill -KILL $$; cat", r"signal=9 \(SIGKILL\)"),
        ("no-such-command-at-all", "status=127; .*not found"),
        ("exit 1 | cat; false; cat /no/such", "status=1; .*No such file"),
    ],
)
async def test_how_commands_fail(command: str, said: str) -> None:
    """None of it is a delivery."""
    async with drive(ExecOutput, f"command {command}{JSON}{ONCE}") as running:
        await running.feed("test", {"n": 1})
        await running.wait_for(lambda: running.metric("retry_count"))
    assert re.search(said, running.log.texts("warning")[0])


async def test_command_timeout(tmp_path: Path) -> None:
    """A command that hangs is killed, whatever it does about it, and its chunk is given again."""
    clock = ManualClock()
    command = f"trap '' TERM; sleep 60 & echo $$ $! >{tmp_path}/pids; wait; cat"
    conf = f"command {command}\ncommand_timeout 9{JSON}<buffer>\nflush_at_shutdown false\n</buffer>"
    async with drive(ExecOutput, conf, clock=clock) as running:
        await running.feed("test", {"n": 1})
        running.graph.flush()
        await running.wait_for(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text())
        pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
        assert not any(map(is_gone, pids))
        await clock.advance(9)
        await running.wait_for(lambda: running.metric("retry_count"))
        await running.wait_for(lambda: all(map(is_gone, pids)), "both to go")
    assert "has not ended within command_timeout (9s)" in running.log.texts("warning")[0]


async def test_what_events_say_is_no_command(tmp_path: Path) -> None:
    """Neither tag nor record gets into the shell; placeholders stay as they are written."""
    command = f"echo '${{tag}} %Y' >{tmp_path}/command; cat >{tmp_path}/out"
    bad = f"$(touch {tmp_path}/bad)`touch {tmp_path}/bad`;touch {tmp_path}/bad;'\"\n"
    conf = f"command {command}\n<inject>\ntag_key tag\n</inject>\n<format>\nkeys tag,m\n</format>\n"
    async with drive(ExecOutput, f"{conf}<buffer tag,m>\n</buffer>") as running:
        await running.feed(bad, {"m": bad})
        await running.flush()
    assert (tmp_path / "command").read_text() == "${tag} %Y\n"
    assert (tmp_path / "out").read_text() == f"{bad}\t{bad}\n"
    assert not (tmp_path / "bad").exists()


async def test_a_command_may_take_the_file_away(tmp_path: Path) -> None:
    """To rename it is a way to keep it, and it is the user's alone."""
    async with drive(ExecOutput, f"command f() {{ mv $1 {tmp_path}/kept; }}; f{JSON}") as running:
        await running.feed("test", {"n": 1})
        await running.flush()
    assert (tmp_path / "kept").read_bytes() == b'{"n":1}\n'
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600


async def test_commands_side_by_side(tmp_path: Path) -> None:
    """As many as there are threads for it."""
    os.mkfifo(tmp_path / "meet")
    # each of two waits for the other
    command = f"if mkdir {tmp_path}/first 2>/dev/null; then echo >{tmp_path}/meet; else cat {tmp_path}/meet; fi; cat"
    conf = f"command {command}{JSON}<buffer tag>\nflush_thread_count 2\n</buffer>"
    async with drive(ExecOutput, conf) as running:
        await running.feed("a", {"n": 1})
        await running.feed("b", {"n": 2})
        await running.flush()
        assert running.metric("write_count") == 2


async def test_a_stop_waits_for_a_command_and_ends_one_that_hangs(tmp_path: Path) -> None:
    """Within the time for it; what was not delivered is given again by the next run."""
    command = f"echo $$ >{tmp_path}/pid; test -e {tmp_path}/well || sleep 60; cat >>{tmp_path}/out"
    buffer = f"<buffer>\n@type file\npath {tmp_path}/buffer\nflush_interval 0.01\n</buffer>"
    system = "<system>\nshutdown_timeout 0.5\n</system>\n"
    own = "<label @FLUENT_LOG>\n<match **>\n@type test\n</match>\n</label>\n"
    text = f"{system}<match test>\n@type exec\ncommand {command}{JSON}{buffer}\n</match>\n{own}"
    async with pipeline(text) as running:
        await running.feed("test", {"n": 1})
        await running.wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    assert is_gone(int((tmp_path / "pid").read_text()))
    assert not (tmp_path / "out").exists()
    assert not [*(tmp_path / "tmp").glob("logpipe-out-exec-*")]
    (tmp_path / "well").touch()
    async with pipeline(text) as running:
        await running.flush()
    assert (tmp_path / "out").read_bytes() == b'{"n":1}\n'


async def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The chunk is tried again when there is room, and half a file is not left."""

    class Full:
        def __init__(self, descriptor: int, _mode: str) -> None:
            self._descriptor = descriptor

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self._descriptor)

        def writelines(self, _pieces: Any) -> None:
            raise OSError(28, "No space left on device")

    async with drive(ExecOutput, f"command cat >{tmp_path}/out{JSON}{SOON}") as running:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdopen", Full)
            await running.feed("test", {"n": 1})
            await running.wait_for(lambda: running.metric("retry_count"))
            assert not [*(tmp_path / "tmp").glob("logpipe-out-exec-*")]
        await running.flush()
    assert (tmp_path / "out").read_bytes() == b'{"n":1}\n'


async def test_a_stop_while_the_file_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is gone, though the thread that writes it cannot be stopped."""
    go_on, filling = threading.Event(), threading.Event()

    def fill(file: BinaryIO, _: object) -> None:
        with file:
            filling.set()
            go_on.wait()

    monkeypatch.setattr(out_exec, "_fill", fill)
    text = f"<system>\nshutdown_timeout 0.2\n</system>\n<match test>\n@type exec\ncommand true{JSON}{ONCE}</match>\n"
    try:
        async with pipeline(text) as running:
            await running.feed("test", {"n": 1})
            await running.wait_for(filling.is_set)
            assert [*(tmp_path / "tmp").glob("logpipe-out-exec-*")]
        assert not [*(tmp_path / "tmp").glob("logpipe-out-exec-*")]
    finally:
        go_on.set()


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("", '"command" is required'),
        ('command "a\\0b"', "NUL"),
        ("command true\ncommand_timeout 0", "command_timeout must be more than 0"),
    ],
)
def test_what_cannot_be(conf: str, said: str) -> None:
    """Is said, with its place."""
    with pytest.raises(ConfigError, match=said):
        configure(ExecOutput, f"{conf}\n<format>\n@type json\n</format>")
