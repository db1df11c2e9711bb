"""A child process: what it reads and writes, how it ends, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logpipe.processes import Child, ChildOver, Exit
from logpipe.processes import child as child_module
from logpipe.processes.guard import GUARD, Guard
from logpipe.testing import wait_for
from tests import on_uvloop
from tests.processes.life import heeds_term, is_gone


async def written(child: Child) -> bytes:
    """Return all that a child writes."""
    found = b""
    while data := await child.read():
        found += data
    return found


async def pid_of(child: Child) -> int:
    """Return the number that a child writes on its first line."""
    found = b""
    while not found.endswith(b"\n"):
        found += await child.read(1)
    return int(found)


@pytest.mark.parametrize(
    ("command", "expected", "shown"),
    [
        ("true", Exit(0), "status=0"),
        ("exit 3", Exit(3), "status=3"),
        ("kill -TERM $$", Exit(None, signal.SIGTERM), "signal=15 (SIGTERM)"),
        ("no-such-command-at-all", Exit(127), "status=127"),
    ],
)
async def test_how_it_ends(command: str, expected: Exit, shown: str) -> None:
    """By a status, or by a signal."""
    child = Child.start(command)
    assert await child.wait() == expected
    assert await child.end() == expected
    assert str(expected) == shown
    assert expected.is_success == (command == "true")
    assert is_gone(child.pid)


@pytest.mark.parametrize("run", [asyncio.run, on_uvloop.run], ids=["asyncio", "uvloop"])
def test_feeding_and_reading(run: Any) -> None:
    """More than any pipe holds goes through, in order, while both ends wait for each other; in either loop."""

    async def work() -> None:
        child = Child.start("cat", is_fed=True, is_read=True)
        data = os.urandom(1_000_000)

        async def feed() -> None:
            await child.write(data)
            await child.taken()
            child.close_input()

        _, found = await asyncio.gather(feed(), written(child))
        assert found == data
        assert await child.end() == Exit(0)

    run(work())


async def test_it_has_no_input_unless_it_is_fed() -> None:
    """Whoever reads finds the end."""
    child = Child.start("cat; echo over", is_read=True)
    assert await written(child) == b"over\n"
    await child.end()


async def test_what_nobody_reads_makes_it_wait() -> None:
    """It writes no further than the pipe holds."""
    child = Child.start("while echo 0123456789; do :; done", is_read=True)
    assert len(await child.read(11)) == 11
    assert not child.has_ended
    await child.end(term_seconds=0)


async def test_standard_error_is_drained_and_its_last_kept() -> None:
    """A flood of it stops nobody; for messages there is the end of it, which cannot forge a line of the log."""
    child = Child.start("head -c 3000000 /dev/zero >&2; printf 'a\\nlast\\033[0m' >&2; echo out", is_read=True)
    assert await written(child) == b"out\n"
    await child.wait()
    await wait_for(lambda: "last" in child.last_words, "the last words")
    await child.end()
    assert child.last_words.endswith("\\x00a\\nlast\\x1b[0m'")
    assert len(child.last_words) < 2000
    assert (await _ended("true")).last_words == "nothing"


async def _ended(command: str) -> Child:
    child = Child.start(command)
    await child.end(patience=10)
    return child


async def test_standard_error_with_the_rest() -> None:
    """Where it is asked for."""
    child = Child.start("echo a >&2; echo b", is_read=True, joins_stderr=True)
    assert await written(child) == b"a\nb\n"
    await child.end()


async def test_variables_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours are there as well."""
    monkeypatch.setenv("OURS", "1")
    child = Child.start('echo "$OURS $THEIRS"', is_read=True, environment={"THEIRS": "2; exit 1"})
    assert await written(child) == b"1 2; exit 1\n"
    await child.end()


async def test_a_child_that_does_not_read_what_it_is_given() -> None:
    """Whoever has fed it hears of it: nothing of that is lost without a word."""
    child = Child.start("sleep 0.05", is_fed=True)
    await child.write(b"x" * 100)
    with pytest.raises(ChildOver, match="100 bytes"):
        await child.taken()
    await child.end()
    with pytest.raises(ChildOver):
        await child.write(b"x")
    child = Child.start("exec 0</dev/null; sleep 5", is_fed=True)
    with pytest.raises(ChildOver):
        await child.write(b"x" * 10_000_000)
    await child.end()


async def test_term_comes_before_kill() -> None:
    """A child that minds may finish."""
    child = Child.start("trap 'echo bye; exit 4' TERM; echo $$; while :; do sleep 0.01; done", is_read=True)
    await pid_of(child)
    child.terminate()
    assert await written(child) == b"bye\n"
    assert await child.end() == Exit(4)


async def test_what_ignores_term_is_killed() -> None:
    """After its time."""
    child = Child.start("trap '' TERM; echo $$; while :; do sleep 60; done", is_read=True)
    await pid_of(child)
    assert not heeds_term(child.pid)
    assert await child.end(term_seconds=0.05) == Exit(None, signal.SIGKILL)
    assert is_gone(child.pid)


async def test_patience_before_term() -> None:
    """At the end of its input it may take its time."""
    child = Child.start("cat; sleep 0.1; exit 5", is_fed=True)
    assert await child.end(patience=60) == Exit(5)


async def test_what_it_has_started_goes_with_it() -> None:
    """Whether it waits for that or not, and whatever that does about signals."""
    for command in ("(trap '' TERM; sleep 60) & echo $!; wait", "(trap '' TERM; sleep 60 >/dev/null) & echo $!"):
        child = Child.start(command, is_read=True)
        grandchild = await pid_of(child)
        await child.end(term_seconds=0.05)
        await wait_for(lambda: is_gone(grandchild), f"{command} to leave nothing")  # noqa: B023 - it is waited for


async def test_what_it_leaves_behind_has_some_time_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last part of a pipeline may write when the first has ended; one that never does is killed."""
    monkeypatch.setattr(child_module, "LINGER_SECONDS", 0.3)
    child = Child.start("(sleep 0.1; echo late) & echo soon", is_read=True)
    assert await written(child) == b"soon\nlate\n"
    await child.end()
    child = Child.start("sleep 60 & echo soon", is_read=True)
    assert await written(child) == b"soon\n"
    await child.end()


async def test_ending_twice_and_killing() -> None:
    """Either is safe in any order, also while somebody waits for what it writes."""
    child = Child.start("sleep 60", is_fed=True, is_read=True)
    reading = asyncio.gather(child.read(), child.wait())
    await asyncio.sleep(0)
    child.kill()
    child.kill()
    assert await reading == [b"", Exit(None, signal.SIGKILL)]
    assert await child.end() == await child.end() == Exit(None, signal.SIGKILL)
    assert is_gone(child.pid)


async def test_a_cancelled_end_kills() -> None:
    """Whoever stops in a hurry leaves nothing, either."""
    child = Child.start("trap '' TERM; sleep 60")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await child.end(patience=60)
    await wait_for(lambda: is_gone(child.pid), "the child to go")
    await child.end()


async def test_without_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no such thing, a thread waits."""
    monkeypatch.delattr(os, "pidfd_open")
    child = Child.start("exit 6")
    assert await child.wait() == Exit(6)
    assert await child.end() == Exit(6)
    child = Child.start("sleep 60")
    assert await child.end() == Exit(None, signal.SIGTERM)


async def test_reaped_by_others() -> None:
    """Where somebody else has heard of its end, nobody takes it for a success."""
    child = Child.start("sleep 0.2")
    before = os.waitid(os.P_PID, child.pid, os.WEXITED)
    assert before is not None
    ended = await child.end()
    assert (ended, ended.is_success, str(ended)) == (Exit(None), False, "status unknown")


PARENT = """\
import asyncio, sys
from logpipe.processes import Child
async def main():
    child = Child.start("(trap '' TERM; sleep 60) & echo $$ $!; wait", is_read=True)
    print((await child.read()).decode(), end="", flush=True)
    await child.wait()
asyncio.run(main())
"""


def test_a_parent_that_is_killed_leaves_nothing() -> None:
    """Neither the child, nor what that has started, nor whoever has seen to it."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(pids) == 2
        assert len(children) == 2
        assert not any(map(is_gone, pids))
        parent.kill()
    asyncio.run(wait_for(lambda: all(map(is_gone, [*pids, *map(int, children)])), "all of it to go"))


async def test_the_guard_is_told_of_each_end() -> None:
    """It would else kill who has the number next; a guard that has died is replaced, and told anew."""
    child = Child.start("sleep 60")
    assert child.pid in GUARD._groups
    first = GUARD.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await wait_for(lambda: is_gone(first), "the guard to die")
    other = Child.start("sleep 60")
    assert GUARD.pid != first
    assert GUARD._groups >= {child.pid, other.pid}
    await child.end()
    await other.end()
    assert not GUARD._groups & {child.pid, other.pid}


def test_the_guard_kills_what_it_was_not_told_to_forget() -> None:
    """Of several, in any order."""
    guard = Guard()
    groups = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(4)]
    for group in groups:
        guard.watch(group.pid)
    guard.forget(groups[1].pid)
    guard.forget(groups[3].pid)
    process = guard._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
    assert [group.wait() for group in groups[::2]] == [-signal.SIGKILL] * 2
    assert [group.poll() for group in groups[1::2]] == [None] * 2
    for group in groups:
        group.kill()
        group.wait()


def test_a_guard_that_reads_nothing_is_replaced() -> None:
    """Nothing waits for it, and what it was told of goes on."""
    guard = Guard()
    groups = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2)]
    guard.watch(groups[0].pid)
    first = guard.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    while guard._tell("- 0\n"):
        pass
    guard.watch(groups[1].pid)
    assert is_gone(first)
    assert [group.poll() for group in groups] == [None] * 2
    guard.close()
    assert [group.wait() for group in groups] == [-signal.SIGKILL] * 2
