"""The real graph of a real configuration in simulated time: started, reloaded, stopped, and left in the middle."""
# ruff: noqa: PTH115, PTH208
# Descriptors are asked for after each schedule, and that is quicker so.

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from logpipe.builtin import in_tail
from logpipe.builtin.in_tail.generation import Generation
from logpipe.config.element import Element
from logpipe.engine.dead_letters import queue
from logpipe.engine.delivery import attempts
from logpipe.engine.running.graph import Graph
from logpipe.registry import Registry
from logpipe.sockets.kept import Sockets
from logpipe.testing import Collector, parse
from tests.simulation.disk import Disk
from tests.simulation.forwarding import PEER
from tests.simulation.network import HIGH, Network
from tests.simulation.outputs import Picky, Scripted, ScriptedDirect
from tests.simulation.timeline import Loop, NoThreads, Timeline

MOST_LETTERS: Final = 8
"""Error events that may wait in memory before inputs do, instead of ten thousand."""

TICK: Final = 0.25
"""Seconds between two looks at what is to be flushed, instead of an eleventh of `flush_interval`: most turns of a loop
would be these, and most crashes would fall in them."""

SLOW_THREADS: Final = 3.0
"""Seconds in which what threads have begun comes to its end, at most."""

_LOG = logging.getLogger("logpipe_simulation")
_LOG.setLevel(logging.INFO)
_LOG.propagate = False
_LOG.addHandler(logging.NullHandler())


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Return the plugins; looking for them takes longer than a schedule."""
    found = Registry(log=_LOG)
    for cls in (Collector, Picky, Scripted, ScriptedDirect):
        found.add(cls, Path(__file__))
    return found


@lru_cache(maxsize=64)
def parsed(text: str) -> Element:
    """Return a configuration's tree; building a graph changes nothing in it."""
    return parse(text, "simulation.conf")


class _Said(logging.Handler):
    """Keeps what is logged, with its time; not the records, which hold parts of a program that is gone."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__(0)
        self.lines: list[tuple[float, str, str]] = []
        """When, the level, and the text with the error's."""
        self._timeline = timeline

    def emit(self, record: logging.LogRecord) -> None:
        error = "" if not record.exc_info else f" {record.exc_info[1]!r}"
        record.msg, record.args, record.exc_info = record.getMessage() + error, None, None  # pytest keeps the record
        self.lines.append((self._timeline.elapsed, record.levelname.lower(), record.msg))


class Engine:
    """The program of one schedule, through all of its starts.

    Args:
        text: its configuration.
        timeline: the time it lives in.
        disk: its own files.
        network: where it listens, and whom it connects to.
    """

    def __init__(self, text: str, timeline: Timeline, disk: Disk, network: Network) -> None:
        self.text = text
        self.said = _Said(timeline)
        self.problems: list[str] = []
        """What nobody has handled, ledgers that do not add up, stops that took too long."""
        self._timeline = timeline
        self._disk = disk
        self._network = network
        self._sockets = Sockets(network)
        self._loop: Loop | None = None
        self.graph: Graph | None = None
        self._task: asyncio.Task[None] | None = None
        self._descriptors: set[str] = set()
        self._ended: list[weakref.ref[Graph]] = []
        """Graphs that have ended in order."""

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._loop is not None

    def start(self) -> Loop:
        """Start the program; returns its loop, until it has ended."""
        self._descriptors = _open_descriptors()
        self._loop = Loop(self._timeline, self._network)
        self._sockets = Sockets(self._network)
        self._begin(self._build())
        return self._loop

    @property
    def letters_waiting(self) -> int:
        """Error events in memory."""
        return 0 if self.graph is None else self.graph.world.dead_letters.waiting

    def run(self, seconds: float) -> None:
        """Let so much time pass.

        Raises:
            Crash: the program has ended meanwhile.
        """
        if self._loop is None:
            self._timeline.elapsed += seconds
        else:
            self._loop.run_to(self._timeline.elapsed + seconds)
            self._look_at_task()

    def stop(self) -> None:
        """Stop it as SIGTERM does."""
        assert self.graph is not None
        has_started = self.graph.started.is_set()
        self._end_graph()
        self._close(has_started=has_started)

    def reload(self) -> None:
        """Read the configuration again, as a worker does on SIGHUP."""
        before = self.graph
        assert before is not None
        assert self._loop is not None
        for _ in range(40):  # a worker reads nothing again before everything has started
            if before.started.is_set() or self._task is None:
                break
            self.run(0.25)
        following = self._build()
        self._end_graph()
        following.comes_after(before.left())
        self._begin(following)

    def crash(self) -> None:
        """Leave the program in the middle of what it does, and everything on the disk as it is."""
        loop = self._loop
        assert loop is not None
        self._disk.end_program()
        self._timeline.crash_at = -1
        for handler in _LOG.handlers[1:]:
            _LOG.removeHandler(handler)
        loop.drop()
        self._loop = self.graph = self._task = loop = None
        self._network.drop()
        gc.collect()  # files close themselves, before their descriptors are closed here
        for number in _open_descriptors() - self._descriptors:
            with suppress(OSError):
                _close(int(number))
        self._disk.restore()

    def held(self) -> Iterator[str]:
        """Say which buffers hold anything: for when all was delivered."""
        for outlet in () if self.graph is None else self.graph.outlets:
            values = outlet.host.metrics.gauges
            size = sum(values[name]() for name in ("buffer_total_queued_size", "buffer_stage_byte_size"))
            if size:
                yield f"a buffer counts {size:.0f} bytes though all was delivered"

    def kept(self) -> Iterator[str]:
        """Say how many graphs are still in memory though they have ended."""
        gc.collect()
        count = sum(each() is not None for each in self._ended)
        if count:
            yield f"{count} graphs that have ended are still in memory"

    # ---- inside

    def _build(self) -> Graph:
        graph = Graph.build(
            parsed(self.text),
            registry=registry(),
            report=lambda _: None,
            log=_LOG,
            clock=self._timeline,
            backup_dir=self._disk.folder / "letters",
        )
        graph.world.threads = NoThreads()
        graph.world.endpoints.sockets = self._sockets
        return graph

    def _begin(self, graph: Graph) -> None:
        assert self._loop is not None
        if self.said not in _LOG.handlers:
            _LOG.addHandler(self.said)
        self.graph = graph
        self._task = self._loop.create_task(graph.run())

    def _end_graph(self) -> None:
        assert self._loop is not None
        graph, task = self.graph, self._task
        assert graph is not None
        if task is None:
            return  # it has ended, and that was said
        asked = self._timeline.elapsed
        limit = float(graph._system.shutdown_timeout) + 4.5
        self._loop.call_soon(graph.request_stop)
        timer = self._loop.call_at(asked + 10 * limit, self._loop.stop)
        task.add_done_callback(lambda _task: self._loop.stop() if self._loop is not None else None)
        if not task.done():
            self._loop.run_forever()
        timer.cancel()
        took = self._timeline.elapsed - asked
        if not task.done():
            self.problems.append(f"it has not stopped after {took:.0f} seconds")
        elif took > limit:
            self.problems.append(f"stopping took {took:.1f} seconds, more than {limit:.1f}")
        self._ended.append(weakref.ref(graph))
        self._look_at_task(ends=True)
        ledger = graph.ledger()
        if ledger.unexplained:
            self.problems.append("the ledger does not add up: " + "; ".join([*ledger.gaps(), *ledger.lines()]))
        if not self._network.is_open:  # connections go on in the next graph
            self._look_for_tasks()

    def _look_for_tasks(self) -> None:
        assert self._loop is not None
        if asyncio.all_tasks(self._loop):  # that wait for threads: nobody can end these
            self._loop.run_to(self._timeline.elapsed + SLOW_THREADS)
        left = [name for task in asyncio.all_tasks(self._loop) if (name := task.get_name()) != PEER]
        if left:
            self.problems.append(f"tasks are left: {left}")

    def _look_at_task(self, *, ends: bool = False) -> None:
        task = self._task
        if task is not None and task.done():
            if task.cancelled():
                self.problems.append("the program was cancelled")
            elif (error := task.exception()) is not None:
                self.problems.append(f"the program ended: {error!r}")
            elif not ends:
                self.problems.append("the program ended by itself")
            self._task = None if not ends else task

    def _close(self, *, has_started: bool) -> None:
        loop = self._loop
        assert loop is not None
        if self._network.is_open:
            loop.run_until_complete(self._sockets.close())
            self._network.drop()
            self._look_for_tasks()
        self.problems += loop.problems
        loop.drop()
        self._loop = self.graph = self._task = None
        _LOG.removeHandler(self.said)
        if left := _open_descriptors() - self._descriptors:
            gc.collect()
            left = _open_descriptors() - self._descriptors
        if left and has_started:  # threads open what a start that was ended does not wait for
            self.problems.append(f"left open: {sorted(map(_target, left))}")
        for number in left:
            _close(int(number))


_closing: SimpleQueue[int] = SimpleQueue()


def _close(descriptor: int) -> None:
    """Close a descriptor; one of inotify's in a thread beside, since the kernel takes long for that."""
    if _target(str(descriptor)) == "anon_inode:inotify":
        _closing.put(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH))
        _closer()
    os.close(descriptor)


@lru_cache(maxsize=1)
def _closer() -> threading.Thread:
    def work() -> None:
        while True:
            os.close(_closing.get())

    thread = threading.Thread(target=work, name="simulation.closer", daemon=True)
    thread.start()
    return thread


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def _open_descriptors() -> set[str]:
    found = [each for each in os.listdir("/proc/self/fd") if int(each) < HIGH]
    return {each for each in found if _target(each)}  # but for the folder's own


class _Os:
    """`os` as tail sees it: files' times of change are those of the simulated clock."""

    def __init__(self, changes: dict[int, int]) -> None:
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @staticmethod
    def close(descriptor: int) -> None:
        _close(descriptor)

    def fstat(self, descriptor: int) -> Any:
        status = os.fstat(descriptor)
        changed = self._changes.get(status.st_ino)
        return status if changed is None else _Status(status, changed)


class _Status:
    def __init__(self, status: os.stat_result, changed: int) -> None:
        self._status = status
        self.st_ctime_ns = changed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._status, name)


@contextmanager
def tail_sees(births: dict[int, int], changes: dict[int, int], timeline: Timeline) -> Iterator[None]:
    """Have tail see births and changes of files in simulated time: no program can set those that the kernel keeps."""

    def born(target: str | int) -> int:
        try:
            status = os.fstat(target) if isinstance(target, int) else os.lstat(target)
        except OSError:
            return 0
        return births.get(status.st_ino, 0)

    def begin(self: Generation, *args: Any, **more: Any) -> None:
        make(self, *args, **more)
        self.read_at = self.checked_at = timeline.now()

    seen = _Os(changes)
    before: list[tuple[Any, str, Any]] = []
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{in_tail.__name__}."):
            for attribute, stand_in in (("born", born), ("os", seen)):
                if hasattr(module, attribute):
                    before.append((module, attribute, getattr(module, attribute)))
                    setattr(module, attribute, stand_in)
    for module, attribute, number in (
        (queue, "MOST_WAITING", MOST_LETTERS),
        (attempts, "SHORTEST_TICK", TICK),
    ):
        before.append((module, attribute, getattr(module, attribute)))
        setattr(module, attribute, number)
    make = Generation.__init__
    Generation.__init__ = begin  # type: ignore[method-assign]
    try:
        yield
    finally:
        Generation.__init__ = make  # type: ignore[method-assign]
        for module, attribute, value in before:
            setattr(module, attribute, value)
