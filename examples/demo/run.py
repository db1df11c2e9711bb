"""The demo from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from examples.demo.agent import Agent, agent
from examples.demo.kubernetes_api import kubernetes_api
from examples.demo.node import Node
from examples.demo.pods import PODS
from examples.demo.positions import lines_behind
from examples.demo.screen import Screen
from examples.demo.tansu import broker
from examples.demo.topics import Topics
from examples.demo.zookeeper import broker_nodes, zookeeper

WRITE_SECONDS = 10
ARRIVE_SECONDS = 20
LINES_PER_SECOND = 400


async def run(*, keep: bool) -> int:
    """Run the demo and return its exit status: 0 if every line arrived once, in the topic of its namespace.

    Args:
        keep: write until SIGINT instead of for ten seconds.
    """
    screen = Screen()
    async with contextlib.AsyncExitStack() as running:
        root = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="logpipe-demo-")))
        kafka = await running.enter_async_context(broker())
        ensemble = await running.enter_async_context(zookeeper(broker_nodes(kafka)))
        environment = await running.enter_async_context(kubernetes_api(PODS, root / "serviceaccount"))
        node = Node(root, PODS)
        logpipe = await running.enter_async_context(agent(root, zookeeper=ensemble, environment=environment))
        screen.say(f"logpipe -c {root}/td-agent.conf: the article's file, only addresses and folder replaced")
        screen.say(f"logs of {len(PODS)} pods in {node.containers}, zookeeper at {ensemble}, kafka at {kafka}")
        if keep:
            screen.say("Ctrl-C ends it")
        return await _Demo(screen, node, logpipe, root).run(kafka, keep=keep)


class _Demo:
    """The demo's run after everything is started."""

    def __init__(self, screen: Screen, node: Node, logpipe: Agent, root: Path) -> None:
        self._screen = screen
        self._node = node
        self._logpipe = logpipe
        self._positions = root / "var/log/pos/es-containers.log.pos"
        self._topics = Topics()
        self._started = time.monotonic()

    async def run(self, kafka: str, *, keep: bool) -> int:
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._topics.follow(kafka))
            writer = tasks.create_task(self._node.write(lines_per_second=LINES_PER_SECOND))
            await self._show(until=_interrupted() if keep else _after(WRITE_SECONDS))
            writer.cancel()
            in_time = _after(ARRIVE_SECONDS)
            await self._show(until=lambda: self._topics.arrived == self._node.written or in_time())
            status = await self._logpipe.stop()
            reader.cancel()
        self._show_records()
        self._show_warnings()
        self._show_account()
        return self._judge(status)

    async def _show(self, *, until: Callable[[], bool]) -> None:
        """Show the counts until the condition is true, or until logpipe ends by itself."""
        while not until() and self._logpipe.running:
            self._count()
            await asyncio.sleep(self._screen.interval)
        self._count()

    def _count(self) -> None:
        seconds = time.monotonic() - self._started
        self._screen.count(seconds, self._topics.arrived, self._node.written.total())

    def _show_records(self) -> None:
        for topic in sorted(self._topics.latest):
            self._screen.title(f"the last event of topic {topic}")
            self._screen.record(self._topics.latest[topic])

    def _show_warnings(self) -> None:
        warnings = [line for line in self._log().splitlines() if "[warn]" in line]
        if warnings:
            self._screen.title("what logpipe warned of")
            self._screen.say("\n".join(warnings))

    def _show_account(self) -> None:
        written, arrived = self._node.written, self._topics.arrived
        read = written.total() - lines_behind(self._positions, self._node.containers)
        waiting = read - arrived.total()
        rows = [(topic, f"{written[topic]:,}", f"{arrived[topic]:,}") for topic in sorted(written | arrived)]
        self._screen.title("every line, by topic")
        self._screen.table([("topic", "written", "delivered"), *rows])
        self._screen.say()
        if self._topics.own:
            self._screen.say(f"topic default has {self._topics.own} lines of logpipe's own log besides")
        self._screen.say(
            f"read {read:,} of {written.total():,} lines, delivered {arrived.total():,}, waiting {waiting:,}"
        )

    def _judge(self, status: int) -> int:
        """Print what went wrong, if anything did."""
        wrong = []
        if status:
            wrong.append(f"logpipe ended with status {status}")
        if self._topics.arrived != self._node.written:
            wrong.append("not every line arrived once in its topic: compare the two columns above")
        if not wrong:
            self._screen.say("every line arrived once, in the topic of its namespace")
            return 0
        self._screen.title("the end of logpipe's log")
        self._screen.say(self._log()[-4000:])
        for complaint in wrong:
            self._screen.say(f"failed: {complaint}")
        return 1

    def _log(self) -> str:
        return self._logpipe.log.read_text(errors="replace")


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _interrupted() -> Callable[[], bool]:
    """Make the first SIGINT end the demo gracefully; a second one ends it at once."""
    loop, interrupted = asyncio.get_running_loop(), asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    return interrupted.is_set
