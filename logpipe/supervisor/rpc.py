"""`rpc_endpoint` of `<system>`: commands over HTTP, which become signals. Fluentd's supervisor.rb and rpc.rb.

Worker 0 serves them, for all: it has the configuration as it is in use, with the plugins that tell what is secret.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from logpipe.net import HttpLimits, HttpServer, Reply, Request, Route, problem
from logpipe.sockets.endpoint import Endpoint

SIGNALS: Final = {
    "/api/processes.interruptWorkers": (signal.SIGINT,),
    "/api/processes.killWorkers": (signal.SIGTERM,),
    "/api/processes.flushBuffersAndKillWorkers": (signal.SIGUSR1, signal.SIGTERM),
    "/api/processes.zeroDowntimeRestart": (signal.SIGUSR2,),
    "/api/plugins.flushBuffers": (signal.SIGUSR1,),
    "/api/config.reload": (signal.SIGHUP,),
    "/api/config.gracefulReload": (signal.SIGHUP,),
}
"""What each path sends to the process, or to the supervisor of several."""
DUMP: Final = "/api/config.dump"
GET_DUMP: Final = "/api/config.getDump"

LIMITS: Final = HttpLimits(connections=64, line_bytes=4096)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
"""compat: rpc.rb asks for none in particular."""
_SAME: Final = frozenset({"none", "same-origin"})


class Rpc:
    """Serves the commands, from `start` to `stop`; its connections outlive a configuration, as any HTTP server's.

    Args:
        endpoint: where.
        log: where requests are said.
        dump: returns the configuration that is in use, secrets masked.
        offers_dump: whether clients may have it, `enable_get_dump`.
        pid: the process that signals go to; None for this one's supervisor, unless that has gone.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        log: logging.Logger,
        dump: Callable[[], str],
        offers_dump: bool,
        pid: int | None,
    ) -> None:
        self._log = log
        self._dump = dump
        self._pid = pid
        self._parent = os.getppid()
        self._tasks: set[asyncio.Task[None]] = set()
        handlers: dict[str, Callable[[], Reply]] = {
            path: partial(self._signal, numbers) for path, numbers in SIGNALS.items()
        }
        handlers[DUMP] = self._log_dump
        if offers_dump:
            handlers[GET_DUMP] = self._get_dump
        self._server = HttpServer(
            endpoint,
            {path: Route(partial(self._guarded, handler), METHODS) for path, handler in handlers.items()},
            log=log,
            start_task=self._start_task,
            limits=LIMITS,
        )

    async def start(self) -> None:
        """Serve.

        Raises:
            ListenError: the address cannot be had.
        """
        await self._server.start()
        for url in self._server.urls():
            self._log.info("listening for commands (rpc_endpoint) at %s", url)

    async def stop(self) -> None:
        """Take no more requests; those that are being answered are."""
        await self._server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_task(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"rpc {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, handler: Callable[[], Reply], request: Request) -> Reply:
        if is_of_a_page(request.headers):
            return problem(403, "Forbidden: pages of other origins may not give commands")
        self._log.info("received %s by rpc_endpoint from %s", request.path, request.peer)
        return handler()

    def _signal(self, numbers: tuple[signal.Signals, ...]) -> Reply:
        pid = self._pid
        if pid is None:
            pid = os.getppid()
            if pid != self._parent:
                return problem(503, "The supervisor has gone")
        for number in numbers:
            os.kill(pid, number)
        return _ok()

    def _log_dump(self) -> Reply:
        for line in self._dump().splitlines():
            self._log.info("configuration: %s", line)
        return _ok()

    def _get_dump(self) -> Reply:
        return _ok({"conf": self._dump()})


def _ok(more: Mapping[str, str] | None = None) -> Reply:
    return Reply(json.dumps({**(more or {}), "ok": True}, ensure_ascii=False, separators=(",", ":")).encode())


def is_of_a_page(headers: Mapping[str, str]) -> bool:
    """Return whether a browser says that a page of another origin has made a request, as an image or a form may."""
    return "Origin" in headers or headers.get("Sec-Fetch-Site", "none").lower() not in _SAME
