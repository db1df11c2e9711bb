"""Runs logpipe with the article's file, in which only addresses and paths are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

ARTICLE = Path(__file__).resolve().parent.parent / "article/td-agent.conf"
STOP_SECONDS = 20


class Agent:
    """A running logpipe.

    Attributes:
        log: the file that its own log goes to.
    """

    def __init__(self, process: Process, log: Path) -> None:
        self.log = log
        self._process = process

    async def stop(self) -> int:
        """Stop it and return its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        async with asyncio.timeout(STOP_SECONDS):
            return await self._process.wait()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None


@contextlib.asynccontextmanager
async def agent(root: Path, *, zookeeper: str, environment: Mapping[str, str]) -> AsyncIterator[Agent]:
    """Run logpipe on the logs below the folder while the context is open.

    Args:
        root: a folder in place of the machine's root, with a var/log.
        zookeeper: address of the server where Kafka's brokers are registered.
        environment: variables to set for it.
    """
    config = root / "td-agent.conf"
    config.write_text(configuration(root, zookeeper=zookeeper))
    log = root / "logpipe.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "logpipe", "-c", str(config)),
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C goes to the demo, which stops logpipe gracefully
        )
    try:
        yield Agent(process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def configuration(root: Path, *, zookeeper: str) -> str:
    """Return the article's file with its two placeholder addresses and its folder replaced."""
    text = ARTICLE.read_text(encoding="utf-8")
    for placeholder in ("SOME_IP1:2181", "SOME_IP2:2181"):
        text = text.replace(placeholder, zookeeper)
    return text.replace("/var/log/", f"{root}/var/log/")
