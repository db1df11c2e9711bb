"""A worker in this process, told by signals as any other."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from logpipe.engine.running.watchdog import Watchdog
from logpipe.sockets.kept import Sockets
from logpipe.supervisor import Settings
from logpipe.supervisor.loading import Loaded, set_up_log
from logpipe.supervisor.worker import Worker
from logpipe.testing import wait_for
from tests.supervisor.running import PLUGINS


class Reloaded:
    """A worker that runs, for the fixture `own_signals`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def reload(self) -> None:
        """Have it read its configuration again, and wait until the new graph has started."""
        before = self._worker._graph
        await wait_for(before.started.is_set, "the start")
        os.kill(os.getpid(), signal.SIGHUP)
        await wait_for(lambda: self._worker._graph is not before and self._worker._graph.started.is_set(), "the reload")


@asynccontextmanager
async def in_this_process(config: Path, log_path: Path) -> AsyncIterator[Reloaded]:
    """Run a worker until the block ends."""
    settings = Settings(config, plugin_dirs=(PLUGINS,), log_path=log_path)
    loaded = Loaded.read(settings)
    log = set_up_log(settings, loaded.system)
    watchdog = Watchdog(asyncio.get_running_loop(), log)
    watchdog.start()
    control = Worker(settings, loaded, loaded.build(settings, log), log, watchdog, sockets=Sockets())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(control.run(), name="worker")
        graph = control._graph
        try:
            await wait_for(lambda: graph.started.is_set() or task.done(), "the start")
            yield Reloaded(control)
        finally:
            if not task.done():
                os.kill(os.getpid(), signal.SIGTERM)
                await task
            watchdog.stop()  # its deadline is that of the process
