"""Sends events to CloudWatch Logs. Settings: out_cloudwatch_logs.rb of fluent-plugin-cloudwatch-logs."""

from __future__ import annotations

from typing import ClassVar

from logpipe import Chunk, DeliveryError, Output, OutputHost
from logpipe.bulk import Bulk
from logpipe.codec import compile_inject
from logpipe.discovery import Peer
from logpipe_aws.cloudwatch.events import MOST_BYTES, Events, Names
from logpipe_aws.cloudwatch.logs import Logs
from logpipe_aws.cloudwatch.options import LogsOptions


class CloudwatchLogsOutput(Output[LogsOptions], type="cloudwatch_logs"):
    """Sends each chunk to CloudWatch Logs, in requests of one stream and one day.

    An event that is rejected, for its age say, goes to `<secondary>`, `@ERROR` or the dead letters with the reason;
    what is throttled is sent again; nothing is thrown away but what has no message.
    """

    compat: ClassVar = frozenset({"buffer", "inject"})

    def __init__(self, options: LogsOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._logs = Logs(options, host)
        formatter = None if options.format is None else host.formatter(options.format)
        self._events = Events(options, compile_inject(options.inject, host), formatter)
        self._bulk = Bulk(host, self._logs.put, most_records=options.max_events_per_batch, most_bytes=MOST_BYTES)

    async def start(self) -> None:
        """Look whether there is a region.

        Raises:
            DeliveryError: there is none.
        """
        if not self.options.place():
            raise DeliveryError("there is no region: add region, or set AWS_REGION")

    async def peers(self) -> list[Peer]:
        """Return the service, which is asked for one group."""
        return [Peer(self._logs.url, self._logs.probe)]

    async def stop(self) -> None:
        """Close the connections."""
        await self._logs.stop()

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk.

        Raises:
            RefusedRecords: some events are rejected; all others are delivered.
            DeliveryError: it is to be tried again.
        """
        options, expand = self.options, self.host.expand
        names = Names(
            options.log_group_name and expand(options.log_group_name, chunk),
            options.log_stream_name and expand(options.log_stream_name, chunk),
            {expand(key, chunk): expand(value, chunk) for key, value in (options.log_group_aws_tags or {}).items()},
        )
        await self._bulk.deliver(chunk, self._events.maker(names))
