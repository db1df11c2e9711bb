"""Emits what a command writes, once or every so often. Settings: fluentd's plugin/in_exec.rb."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar, Final, Literal

from logpipe import (
    Input,
    InputHost,
    InvalidSetting,
    Options,
    ParseError,
    PluginConf,
    Seconds,
    Size,
    param,
    plugin_section,
    section,
)
from logpipe.builtin.command_output.options import check_command, parse_defaults, time_defaults
from logpipe.builtin.command_output.reading import Events
from logpipe.builtin.encodings import codec_of
from logpipe.codec import ExtractOptions
from logpipe.processes import Child

_HURRY: Final = 1.0
"""Seconds in which a command may write its last when the worker stops."""
_LAST_HURRY: Final = 0.2
"""Seconds from the last SIGTERM to SIGKILL, when all else has stopped."""


class ExecOptions(Options):
    """Settings of `<source> @type exec`."""

    command: str = param("What the shell is to run.")
    connect_mode: Literal["read", "read_with_stderr"] = param(
        "Whether what the command writes to standard error is read as well; else the last of it is said when it fails.",
        default="read",
    )
    tag: str | None = param("Tag of the events; required unless `<extract>` has a `tag_key`.", default=None)
    run_interval: Seconds | None = param(
        "How often the command is run, for the first time after so long; unset: once, at the start. Where it still "
        "runs it is not run a second time.",
        default=None,
    )
    command_timeout: Seconds | None = param("How long a run may take before it is killed.", default=None)
    read_block_size: Size = param("Bytes that are read at a time.", default="10240")
    encoding: str | None = param(
        "What the command writes in, by Ruby's or Python's name; U+FFFD stands for what is not in it. Unset: UTF-8, "
        "where what is not stays as it came.",
        default=None,
    )
    parse: PluginConf = plugin_section(
        "How events are read. A time is a number unless there is a `time_format`.",
        kind="parser",
        default_type="tsv",
        defaults=parse_defaults,
    )
    extract: ExtractOptions | None = section("Takes tag and time from fields of the record.", defaults=time_defaults)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be run, or has no tag."""
        yield from check_command(self.command)
        if self.tag is None and (self.extract is None or self.extract.tag_key is None):
            yield "'tag' or 'tag_key' option is required on exec input: add tag"
        for name in ("run_interval", "command_timeout"):
            if (seconds := getattr(self, name)) is not None and seconds <= 0:
                yield InvalidSetting(f"{name} must be more than 0", param=name)
        if self.encoding is not None:
            try:
                codec_of(self.encoding, "encoding")
            except InvalidSetting as problem:
                yield problem


class Exec(Input[ExecOptions], type="exec"):
    """Makes events of what a command writes, line by line, or value by value where the parser is json or msgpack.

    The command waits while outputs take nothing. It runs in a process group of its own, with no input; when it has
    ended, what it has started has five seconds to write its last. When the worker stops it gets SIGTERM, what it still
    writes is emitted, and what is left of it is killed; it does not outlive a worker that is killed, either.
    """

    several_workers = True
    compat: ClassVar = frozenset({"extract", "parser"})

    def __init__(self, options: ExecOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self._events = Events(
            host,
            parse=options.parse,
            extract=options.extract,
            tag=options.tag,
            block=options.read_block_size,
            encoding=codec_of(options.encoding, "encoding") if options.encoding else "",
        )
        self._child: Child | None = None
        self._is_quiet = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._runs = host.counter("runs", "How often the command was started.")
        self._failures = host.counter("failed_runs", "How often it has ended otherwise than with status 0.")

    async def run(self) -> None:
        """Run the command, for as long as there is something to run."""
        interval = self.options.run_interval
        if interval is None:
            await self._once()
            return
        clock = self.host.clock
        due = clock.monotonic()
        while not self._is_quiet:
            due = max(due + interval, clock.monotonic())
            await clock.sleep(due - clock.monotonic())
            if not self._idle.is_set():
                # compat: the message of fluentd's plugin_helper/child_process.rb
                self.host.log.warning("previous child process is still running. skipped. interval=%g", interval)
            elif not self._is_quiet:
                self._idle.clear()
                self.host.start_task(self._once(), name="command")

    async def quiesce(self) -> None:
        """Run nothing more, and emit what is still written."""
        self._is_quiet = True
        if self._child is not None:
            self._child.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(_HURRY):
                    await self._idle.wait()
        self._events.quiesce()

    async def stop(self) -> None:
        """End what still runs."""
        if self._child is not None:
            await self._child.end(term_seconds=_LAST_HURRY)
        self._events.stop()

    async def _once(self) -> None:
        self._idle.clear()
        try:
            self._child = child = Child.start(
                self.options.command, is_read=True, joins_stderr=self.options.connect_mode == "read_with_stderr"
            )
        except OSError as problem:
            self.host.log.error("the command cannot be started: %s", problem)  # noqa: TRY400 - it is no mistake of ours
            self._failures.add(1)
            self._idle.set()
            return
        self._runs.add(1)
        try:
            await self._follow(child)
        except ParseError as problem:
            self.host.log.error("the command is ended, for what it writes: %s", problem)  # noqa: TRY400 - the same
        finally:
            if not self._is_quiet:
                await child.end()
            self._idle.set()

    async def _follow(self, child: Child) -> None:
        """Read a run to its end."""
        timeout = self.options.command_timeout
        try:
            async with self.host.clock.timeout(timeout) as limit:
                await self._events.read(child)
                ended = await child.wait()
        except TimeoutError:
            if not limit.expired():
                raise
            self._failures.add(1)
            self.host.log.warning("child process timed out: it is ended after %g seconds", timeout)
            return
        self._failures.add(not ended.is_success)
        if self._is_quiet:
            return
        again = "" if self.options.run_interval else "; it is not started again: run_interval does that"
        if not ended.is_success:
            message = "command exits with error code %s; the last it said: %s%s"
            self.host.log.warning(message, ended, child.last_words, again)
        elif again:
            self.host.log.info("command has ended %s%s", ended, again)
