"""Rows 11 to 14, 51 to 53 and 55: signals, clocks, memory, descriptors, bad plugins, reloads, workers."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Final

from logpipe.engine.hosts.host import SystemClock
from logpipe.testing import pipeline, wait_for
from tests.faults import texts
from tests.faults.outcome import Impossible
from tests.faults.process import sample
from tests.faults.row import row
from tests.faults.trial import Lab, Trial, needs

LINES: Final = 200
PLUGINS: Final = Path(__file__).parent / "plugins"
END_SECONDS: Final = 25
"""How long ending may take: shutdown_timeout is 20 seconds."""


@row(11, "SIGTERM while flushing and starting, twice; SIGHUP storm")
def signals(lab: Lab) -> None:
    """It ends in time and in order, whenever it is asked; a hundred SIGHUPs are one reload or few."""
    with lab.trial("SIGTERM at random moments") as trial:
        trial.may_repeat = True
        log = trial.log()
        rnd = random.Random(11)
        logpipe = trial.start(_text(trial))
        for number in range(lab.repeat(40, few=6)):
            until = time.monotonic() + rnd.uniform(0, 0.8)
            while time.monotonic() < until:
                log.write(5)
                time.sleep(0.01)
            logpipe.signal(signal.SIGTERM)
            if number % 3 == 0:
                logpipe.signal(signal.SIGTERM)
            trial.wait(lambda: not logpipe.runs, "the end", seconds=END_SECONDS)
            assert logpipe.returncode in {0, -signal.SIGTERM}, f"status {logpipe.returncode}\n{trial.said[-2000:]}"
            trial.fired("SIGTERM")
            logpipe.start()
        trial.wait_for_all()
        trial.end(logpipe)
    with lab.trial("SIGHUP storm") as trial:
        log = trial.log()
        logpipe = trial.start(_text(trial))
        log.write(LINES)
        trial.wait_for_all()
        for _ in range(100):
            logpipe.signal(signal.SIGHUP)
            log.write(5)
            time.sleep(0.01)
        reloads = trial.said.count("starting by the configuration as it was read")
        trial.fired("SIGHUP", when=reloads)
        assert reloads < 50, f"{reloads} reloads of a hundred signals in a second"
        log.write(LINES)
        trial.wait_for_all()
        trial.end(logpipe)


class JumpingClock(SystemClock):
    """The real time, but the clock on the wall can be set."""

    def __init__(self) -> None:
        self.offset = 0

    def now(self) -> int:
        """Return nanoseconds since the epoch."""
        return super().now() + self.offset


@row(12, "the clock jumps by an hour, backwards, to 1970")
def clock_jumps(lab: Lab) -> None:
    """No timer sticks, slices of time are still delivered, chunks stay apart."""
    hour = 3600 * 1_000_000_000
    for name, offset in (("an hour on", hour), ("an hour back", -hour), ("1970", -time.time_ns() + hour)):
        with lab.trial(f"clock: {name}") as trial:
            trial.read = partial(_read_again, trial)
            asyncio.run(_jump(trial, offset))


async def _jump(trial: Trial, offset: int) -> None:
    """Write before and after the jump; the configuration runs in this process, for the sake of its clock."""
    clock = JumpingClock()
    log = trial.log()
    text = (
        texts.tail(trial.folder)
        + f"""\
<match t>
  @type file
  path {trial.folder}/out/%Y%m%d-%H%M%S
  append true
  <format>
    @type single_value
  </format>
  <buffer time>
    @type file
    path {trial.folder}/buffer
    timekey 1
    timekey_wait 0
  </buffer>
</match>
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
"""
    )
    async with pipeline(text, clock=clock):
        for jump in (0, offset, 0):
            clock.offset = jump
            log.write(LINES)
            await wait_for(lambda: trial.read() or trial.account.complete, f"the lines after a jump of {jump} ns")
    trial.fired("jump")


def _read_again(trial: Trial) -> bool:
    """Enter all slices' lines anew."""
    account = trial.account
    account.forget_arrivals()
    for file in (trial.folder / "out").glob("*.log"):
        for line in file.read_text().splitlines():
            account.arrived(line)
    return False


@row(13, "memory is limited")
def little_memory(lab: Lab) -> None:
    """With an output that is away it takes what its buffer may have; what does not fit waits in its file."""
    needs("prlimit")
    with lab.trial("an output away, much to read") as trial:
        in_the_way = trial.folder / "out/out.log"
        in_the_way.mkdir(parents=True)
        log = trial.log()
        text = _text(trial, buffer="memory", more="chunk_limit_size 1m\ntotal_limit_size 8m")
        logpipe = trial.start(text, through=["prlimit", "--as=500000000"])
        for _ in range(lab.repeat(60, few=20)):
            log.write(10_000)
        trial.fired("more to read than fits", when=log.path.stat().st_size > 8 << 20)
        trial.wait_for("failed to flush", times=2)
        trial.wait_until_read(quiet=1 << 20)
        in_the_way.rmdir()
        trial.wait_for_all(seconds=180)
        trial.end(logpipe)


@row(14, "no descriptors left, no inotify")
def no_descriptors(lab: Lab) -> None:
    """More files than it may have open are all read, and without inotify it looks for itself."""
    needs("prlimit")
    with lab.trial("few descriptors") as trial:
        count = lab.repeat(300, few=120)
        logs = [trial.log(f"many-{number:03d}") for number in range(count)]
        for log in logs:
            log.write(10)
        logpipe = trial.start(_text(trial), through=["prlimit", "--nofile=64"])
        trial.wait_for_all()
        for log in logs:
            log.write(10)
        trial.wait_for_all()
        for log in logs:
            log.write(10)
            log.rename(late=5)
            log.write(10)
        trial.wait_for_all()
        assert "Too many open files" not in trial.said, trial.said[-2000:]
        trial.fired("fewer descriptors than files", when=count > 64)
        trial.end(logpipe)
    with lab.trial("no inotify") as trial:
        log = trial.log()
        script = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
        through = ["unshare", "--map-root-user", "sh", "-c", script, "sh"]
        if subprocess.run([*through, "true"], check=False, capture_output=True).returncode:
            raise Impossible("user namespaces are not permitted here")
        logpipe = trial.start(_text(trial), through=through)
        log.write(LINES)
        trial.wait_for_all()
        log.rename(late=10)
        log.write(LINES)
        other = trial.log("other")
        other.write(LINES)
        trial.wait_for_all()
        trial.fired("no inotify", when="inotify" in trial.said)
        trial.end(logpipe)


BAD_FILTER: Final = """\
<filter t>
  @type {kind}
  marker {folder}/marker
</filter>
"""


@row(51, "a plugin raises, blocks, exits")
def bad_plugins(lab: Lab) -> None:
    """What a plugin fails on goes to @ERROR, the rest goes on; a process that it ends loses nothing."""
    for kind in ("raising", "blocking", "exiting", "vanishing"):
        with lab.trial(f"a {kind} filter") as trial:
            trial.may_repeat = kind == "vanishing"
            log = trial.log()
            bad = BAD_FILTER.format(kind=kind, folder=trial.folder)
            text = texts.tail(trial.folder) + bad + texts.to_file(trial.folder)
            text += texts.ERRORS_TO_FILE.format(folder=trial.folder)
            plugins = ("-p", str(PLUGINS))
            log.write(LINES)
            logpipe = trial.start(text, arguments=plugins)
            log.write_bytes(b"poison\n")
            log.write(LINES)
            trial.wait((trial.folder / "marker").exists, "the plugin to do it")
            trial.fired(kind)
            if kind == "vanishing":
                trial.wait(partial(_ended_or_all, trial), "the end or all lines")
                if not logpipe.runs:
                    logpipe.start()
            trial.wait_for_all()
            log.write(LINES)
            trial.wait_for_all()
            if kind in {"raising", "exiting"}:
                trial.wait(partial(_has_poison, trial.folder / "errors/errors.log"), "the poison in @ERROR")
            assert logpipe.stop() == 0


@row(52, "a regular expression that never ends on some lines")
def endless_expression(lab: Lab) -> None:
    """The line is given up in time and goes to @ERROR; the others come."""
    with lab.trial("(a+)+$") as trial:
        log = trial.log()
        parse = "@type regexp\nexpression /^(?<message>(?:app .*|(?:a+)+\\\\$))$/".replace("\\\\", "\\")
        text = texts.tail(trial.folder, parse=parse) + texts.to_file(trial.folder)
        logpipe = trial.start(text + texts.ERRORS_TO_FILE.format(folder=trial.folder))
        log.write(LINES)
        log.write_bytes(b"a" * 60 + b"!\n")
        log.write(LINES)
        trial.wait_for_all()
        trial.wait(lambda: "a" * 60 in trial.said or (trial.folder / "errors/errors.log").exists(), "the hostile line")
        trial.fired("hostile line", when="time" in trial.said)
        trial.end(logpipe)


@row(53, "reload: broken, unchanged, with a backlog, during a flush, again and again")
def reloads(lab: Lab) -> None:
    """A configuration that can't run changes nothing; what waited in a removed output's buffer is not lost."""
    with lab.trial("reloads") as trial:
        trial.may_repeat = True
        log = trial.log()
        text = _text(trial)
        logpipe = trial.start(text)
        log.write(LINES)
        trial.wait_for_all()
        config = trial.folder / "conf"
        config.write_text(text.replace("@type file", "@type nonsense", 1))
        logpipe.signal(signal.SIGHUP)
        trial.wait_for("nonsense")
        trial.fired("broken")
        log.write(LINES)
        trial.wait_for_all()
        config.write_text(text)
        before = _descriptors(logpipe.pid)
        for number in range(lab.repeat(60, few=10)):
            logpipe.signal(signal.SIGHUP)
            log.write(LINES)
            if number % 2:
                trial.wait_for_all()
            trial.fired("reload")
        trial.wait_for_all()
        trial.wait(lambda: _descriptors(logpipe.pid) <= before + 4, "descriptors to be let go")
        trial.end(logpipe)
    _removed_with_backlog(lab)


def _removed_with_backlog(lab: Lab) -> None:
    with lab.trial("an output removed that has a backlog") as trial:
        trial.may_repeat = True
        log = trial.log()
        text = "<system>\n  shutdown_timeout 2\n</system>\n" + _text(trial)
        in_the_way = trial.folder / "out/out.log"
        in_the_way.mkdir(parents=True)
        logpipe = trial.start(text)
        log.write(LINES)
        trial.wait_for("failed to flush")
        config = trial.folder / "conf"
        config.write_text("<match t>\n  @type null\n</match>\n")
        logpipe.signal(signal.SIGHUP)
        trial.wait_for("starting by the configuration as it was read")
        trial.fired("removed", when=list((trial.folder / "buffer").glob("buffer.*.log")))
        in_the_way.rmdir()
        config.write_text(text)
        logpipe.signal(signal.SIGHUP)
        trial.wait_for_all()
        trial.end(logpipe)


WORKERS: Final = """\
<system>
  workers 2
  restart_worker_interval 0
</system>
<worker 0>
{zero}
</worker>
<worker 1>
{one}
</worker>
"""


@row(55, "a worker process dies")
def worker_dies(lab: Lab) -> None:
    """It is started again and goes on where it was; the other one notices nothing."""
    with lab.trial("a worker killed") as trial:
        trial.may_repeat = True
        trial.most_descriptors = 200
        zero = texts.tail(trial.folder, path="a.log", tag="t")
        one = texts.tail(trial.folder, path="b.log", tag="t").replace("state/pos", "state/pos1")
        logs = [trial.log("a"), trial.log("b")]
        logpipe = trial.start(WORKERS.format(zero=zero, one=one) + texts.to_file(trial.folder))
        rnd = random.Random(5)
        # Few, for a worker that dies again and again is started after pauses that double.
        for _ in range(lab.repeat(5, few=3)):
            for log in logs:
                log.write(LINES)
            trial.wait_for_all()
            workers = Path(f"/proc/{logpipe.pid}/task/{logpipe.pid}/children").read_text().split()
            os.kill(int(rnd.choice(workers)), signal.SIGKILL)
            trial.fired("worker killed")
            for log in logs:
                log.write(LINES)
            trial.wait_for_all()
        trial.end(logpipe)


def _ended_or_all(trial: Trial) -> bool:
    return not trial.last.runs or trial.arrived() == trial.account.written


def _has_poison(errors: Path) -> bool:
    return errors.exists() and "poison" in errors.read_text()


def _descriptors(pid: int) -> int:
    found = sample(pid, age=0)
    return found.descriptors if found else 0


def _text(trial: Trial, *, buffer: str = "file", more: str = "") -> str:
    return texts.tail(trial.folder) + texts.to_file(trial.folder, buffer=buffer, more=more)
