"""An output that keeps what it gets, and a log that keeps what is said."""

from __future__ import annotations

import asyncio
import logging

from logpipe.config.declare import param
from logpipe.config.options import Options
from logpipe.event import Event, EventBatch
from logpipe.plugin import Output, OutputHost
from logpipe.tag_pattern import compile_pattern


class CollectorOptions(Options):
    """Which collector this is."""

    name: str = param("What `Pipeline.collected` calls this collector.", default="")


class Collector(Output[CollectorOptions], type="test"):
    """Keeps every event; refuses them while `refuse` holds an exception, waits while `open` is clear."""

    def __init__(self, options: CollectorOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self.batches: list[tuple[str, list[Event]]] = []
        self.refuse: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def process(self, batch: EventBatch) -> None:
        """Keep a batch's events."""
        await self.open.wait()
        if self.refuse is not None:
            raise self.refuse
        self.batches.append((batch.tag, list(batch.events())))

    def events(self, pattern: str = "**") -> list[Event]:
        """Return the events whose tag matches, in order of arrival."""
        matches = compile_pattern(pattern)
        return [event for tag, events in self.batches if matches(tag) for event in events]


def collecting(host: OutputHost) -> Collector:
    """Return a collector for the place of an output, which `Pipeline.collected` calls by the output's id."""
    return Collector(CollectorOptions(name=host.plugin_id), host)


class LogCapture(logging.Handler):
    """Keeps log messages."""

    def __init__(self) -> None:
        super().__init__(0)
        self.messages: list[tuple[str, str]] = []

    def logger(self, name: str) -> logging.Logger:
        """Return a new logger, a root of its own, whose messages and those of its children are kept here.

        The logging module keeps the loggers that it knows for ever, and visits them for each new level; pytest visits
        them three times for each test.
        """
        log = logging.Logger(name, level=1)  # noqa: LOG001 - one that nobody else finds
        log.manager = logging.Manager(log)  # type: ignore[arg-type]  # it is the root of its children
        log.propagate = False
        log.addHandler(self)
        return log

    def emit(self, record: logging.LogRecord) -> None:
        """Keep level and text."""
        self.messages.append((record.levelname.lower(), record.getMessage()))

    def texts(self, level: str = "") -> list[str]:
        """Return the texts of all messages, or of those of one level (warning, error …)."""
        return [text for name, text in self.messages if not level or name == level]
