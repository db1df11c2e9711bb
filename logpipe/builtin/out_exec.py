"""Runs a command for each chunk, with a file that has its events. Settings: fluentd's plugin/out_exec.rb."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO, ClassVar, Final

from logpipe import (
    Chunk,
    DeliveryError,
    EventBatch,
    InvalidSetting,
    Options,
    Output,
    OutputHost,
    PluginConf,
    Seconds,
    param,
    plugin_section,
    section,
)
from logpipe.builtin.chunk_payloads import pieces_of
from logpipe.builtin.command_output.encoding import Encoder
from logpipe.builtin.command_output.options import check_command, inject_for_command
from logpipe.codec import InjectOptions
from logpipe.processes import Child

_PREFIX: Final = "logpipe-out-exec-"


class ExecOutputOptions(Options):
    """Settings of `<match> @type exec`."""

    command: str = param(
        "What the shell is to run for each chunk; the path of a file with its events is put behind it. Nothing in it "
        "is filled in: what events say is in the file alone."
    )
    command_timeout: Seconds = param("How long the command may take before it is killed.", default="270")
    format: PluginConf = plugin_section("How an event is written.", kind="formatter", default_type="tsv")
    inject: InjectOptions | None = section(
        "Fields to add. A time is text unless there is a `time_type`, and in UTC unless there is a zone.",
        defaults=inject_for_command,
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be run."""
        yield from check_command(self.command)
        if self.command_timeout <= 0:
            yield InvalidSetting("command_timeout must be more than 0", param="command_timeout")


class ExecOutput(Output[ExecOutputOptions], type="exec"):
    """Gives each chunk to a command of its own, in a file that is gone when it has ended.

    A chunk is delivered when its command has ended with status 0; after anything else it is given again, whole.
    `flush_thread_count` says how many commands may run. What a command has started and left behind is killed with its
    end. The last that a command that fails has written to standard error is in the log. What a kill -9 leaves are
    files `logpipe-out-exec-*` among the temporary ones: remove those of a worker that is gone.
    """

    compat: ClassVar = frozenset({"buffer", "formatter", "inject"})
    compat_chunk_key = "time"
    buffer_defaults: ClassVar = {"delayed_commit_timeout": "300"}
    delayed_commit = True

    def __init__(self, options: ExecOutputOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._encoder = Encoder(host, options.format, options.inject)

    def encode(self, batch: EventBatch) -> list[bytes]:
        """Return each event's bytes; a bad record is empty and goes to `@ERROR`."""
        return self._encoder.encode(batch)

    async def write(self, chunk: Chunk) -> None:
        """Run the command for a chunk.

        Raises:
            DeliveryError: it has not ended with status 0, or not in time.
            OSError: the file cannot be written, or there is no process to be had.
        """
        # named here and not in the thread, which a stop does not wait for: what it still writes has no name then
        descriptor, path = tempfile.mkstemp(prefix=_PREFIX)
        try:
            file = os.fdopen(descriptor, "wb")
            if self.host.is_secondary:  # its chunks may have to be encoded, which is not for threads
                _fill(file, pieces_of(chunk, self.encode))
            else:
                await self.host.in_thread(lambda: _fill(file, pieces_of(chunk, self.encode)))
            await self._run(path)
        finally:
            with suppress(FileNotFoundError):  # the command has moved it
                os.unlink(path)  # noqa: PTH108 - a name, as mkstemp gives it

    async def _run(self, path: str) -> None:
        child = Child.start(f"{self.options.command} {shlex.quote(path)}")
        timeout = self.options.command_timeout
        try:
            async with self.host.clock.timeout(timeout) as limit:
                ended = await child.wait()
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeliveryError(f"the command has not ended within command_timeout ({timeout:g}s): killed") from None
        finally:
            await child.end(term_seconds=0.5)
        if not ended.is_success:
            raise DeliveryError(f"command exits with error code {ended}; the last it said: {child.last_words}")


def _fill(file: BinaryIO, pieces: Iterable[bytes]) -> None:
    with file:
        file.writelines(pieces)
