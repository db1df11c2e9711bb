"""What `syslog`, `tcp` and `udp` are made of: an input that listens, and emits events of messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from logpipe import EventBatch, Input, InputHost, PluginConf, Time
from logpipe.builtin.message_inputs.complaints import Complaints
from logpipe.builtin.message_inputs.delivery import Delivery
from logpipe.builtin.message_inputs.framing import Framing
from logpipe.builtin.message_inputs.options import MessageOptions
from logpipe.builtin.message_inputs.receiving import DatagramReceiver, Fields, Senders, StreamReceiver
from logpipe.builtin.peers import Networks
from logpipe.codec import MessageParser
from logpipe.net import Address, TransportOptions

O = TypeVar("O", bound=MessageOptions)  # noqa: E741 - the one letter that reads as "options"


class MessageInput(Input[O]):
    """Override `batches`, and call one of `listen_…` in the constructor."""

    several_workers = True
    listens = "send events"
    compat: ClassVar = frozenset({"parser"})
    compat_kept: ClassVar = frozenset({"delimiter"})

    _receiver: DatagramReceiver | StreamReceiver

    def __init__(self, options: O, host: InputHost, parse: PluginConf) -> None:
        super().__init__(options, host)
        self.parser = MessageParser(parse, host)
        self.complaints = Complaints(host, f"port {options.port}")
        self._delivery = Delivery(host)

    def batches(
        self, messages: list[bytes], fields: Fields | Sequence[Fields], now: Time, *, is_first: bool
    ) -> list[EventBatch]:
        """Return the events of messages.

        Args:
            messages: as they came.
            fields: those of their sender, or of each message's.
            now: when they came.
            is_first: whether what is found about them is to be counted and said.
        """
        raise NotImplementedError

    def listen_for_datagrams(self, transport: TransportOptions, limit: int, *, chomps: bool, senders: Senders) -> None:
        """Take datagrams."""
        endpoint = self.host.endpoint(Address.udp(self.options.bind, self.options.port))
        self.endpoint = endpoint
        self._receiver = DatagramReceiver(
            self.host,
            endpoint,
            self._take,
            transport=transport,
            limit=limit,
            chomps=chomps,
            senders=senders,
            delivery=self._delivery,
            complaints=self.complaints,
        )

    def listen_for_connections(
        self,
        transport: TransportOptions,
        framing: Callable[[], Framing],
        *,
        is_probed: bool,
        senders: Senders,
        allowed: Networks | None = None,
    ) -> None:
        """Take connections."""
        endpoint = self.host.endpoint(Address.tcp(self.options.bind, self.options.port))
        self.endpoint = endpoint
        self._receiver = StreamReceiver(
            self.host,
            endpoint,
            self._take,
            transport=transport,
            framing=framing,
            is_probed=is_probed,
            allowed=allowed,
            senders=senders,
            delivery=self._delivery,
            complaints=self.complaints,
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            LogpipeError: the address cannot be had, or a file of `<transport>` cannot be used.
        """
        await self._receiver.start()
        for address, port in self.endpoint.names():
            self.host.log.info("listening port port=%d bind=%s", port, address)

    async def run(self) -> None:
        """Emit what has come."""
        await self._receiver.run()

    async def quiesce(self) -> None:
        """Read nothing new; what has come is emitted."""
        await self._receiver.quiesce()

    async def stop(self) -> None:
        """Listen no more."""
        await self._receiver.stop()
        self.complaints.sum_up()

    async def _take(self, messages: list[bytes], fields: Fields | Sequence[Fields]) -> None:
        now = self.host.clock.now()
        await self._delivery.send(lambda is_first: self.batches(messages, fields, now, is_first=is_first))
