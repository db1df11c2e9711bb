"""An output for tests of signals: writes lines to a file, and misbehaves as it is told."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Literal

from logpipe import Chunk, Host, LogpipeError, Options, Output, param


class LinesOptions(Options):
    """Settings of `@type lines`."""

    path: str = param("File to append the field `message` of each event to.")
    prefix: str = param("What stands before each.", default="")
    pause: float = param("Seconds to wait before each.", default=0.0)
    trouble: Literal[
        "none",
        "never_built",
        "start_waits",
        "start_held",
        "start_fails",
        "start_dies",
        "held",
        "never_answers",
        "stop_blocks",
    ] = param("What goes wrong.", default="none")


class Lines(Output[LinesOptions], type="lines"):
    """Says in `PATH.at` where it is, so that a test can wait for that; held, it goes on when there is a `PATH.go`."""

    def __init__(self, options: LinesOptions, host: Host) -> None:
        super().__init__(options, host)
        if options.trouble == "never_built":
            raise RuntimeError("never built")

    async def start(self) -> None:
        self._at("start")
        if self.options.trouble == "start_waits":
            await asyncio.Event().wait()
        while self.options.trouble == "start_held" and not Path(f"{self.options.path}.go").exists():
            await asyncio.sleep(0.01)
        if self.options.trouble == "start_fails":
            raise LogpipeError("no such place: make one")
        if self.options.trouble == "start_dies":
            os._exit(3)

    async def write(self, chunk: Chunk) -> None:
        self._at("write")
        if self.options.trouble == "never_answers":
            await asyncio.Event().wait()
        while self.options.trouble == "held" and not Path(f"{self.options.path}.go").exists():
            await asyncio.sleep(0.01)
        with Path(self.options.path).open("a") as file:
            for batch in chunk.batches():
                for record in batch.records:
                    if self.options.pause:
                        await asyncio.sleep(self.options.pause)
                    file.write(f"{self.options.prefix}{record['message']}\n")
                    file.flush()

    async def stop(self) -> None:
        if self.options.trouble == "stop_blocks":
            self._at("stop")
            time.sleep(3600)

    def _at(self, place: str) -> None:
        with Path(f"{self.options.path}.at").open("a") as file:
            file.write(f"{place}\n")
