"""0.12's outputs `tcp` and `unix`: packed messages over a connection for each chunk. Fluentd 0.12's out_stream.rb."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar, Generic, TypeVar

from logpipe import Chunk, EventBatch, InvalidSetting, Options, Output, OutputHost, PermanentError, Seconds, param
from logpipe.builtin.chunk_payloads import pieces_of
from logpipe.builtin.discovery.service_options import PORT
from logpipe.builtin.forward_protocol import ProtocolError, pack_events
from logpipe.builtin.out_forward.message import Message, message_of
from logpipe.codec import Payloads
from logpipe.net import Address, ClientStream, Dialer

_HELO = b"\x92\xa4HELO"


class StreamOptions(Options):
    """What both outputs have."""

    send_timeout: Seconds = param(
        "How long the peer may take nothing of what is sent, and until it ends a connection that it has read.",
        default="60",
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield that nothing could be sent."""
        if self.send_timeout <= 0:
            yield InvalidSetting("send_timeout must be more than 0", param="send_timeout")


S = TypeVar("S", bound=StreamOptions)


class Stream(Output[S], Generic[S]):
    """Sends each chunk over a connection of its own."""

    compat: ClassVar = frozenset({"buffer"})
    buffer_argument = "tag"

    def __init__(self, options: S, host: OutputHost, address: Address) -> None:
        super().__init__(options, host)
        if host.is_secondary and "tag" not in host.chunk_keys:
            raise InvalidSetting(f"buffer chunk key must include 'tag' for {self.types[0]} output: write <buffer tag>")
        self._address = address
        seconds = options.send_timeout
        self._dialer = Dialer(connect_seconds=seconds, write_seconds=seconds, deadline=host.clock.timeout)

    def encode(self, batch: EventBatch) -> Payloads:
        """Return each event as it stands in a message, its time in whole seconds."""
        return pack_events(batch, whole_seconds=True)

    async def write(self, chunk: Chunk) -> None:
        """Send a chunk, and wait until the peer has read it and ends the connection.

        Raises:
            PermanentError: it is larger than a message can be.
            ConnectionError: the peer cannot be reached, or has not read all of it.
        """
        if not len(chunk):
            return
        content = partial(pieces_of, chunk, self.encode)
        try:
            message = await message_of(
                chunk, chunk.key.tag or "", content, self.host, compressed=None, with_chunk=False, has_options=False
            )
        except ProtocolError as problem:
            raise PermanentError(str(problem)) from problem
        stream = await self._dialer.connect(self._address)
        try:
            await self._send(stream, message)
        finally:
            stream.abort()

    async def _send(self, stream: ClientStream, message: Message) -> None:
        async for piece in message.pieces():
            await stream.write(piece)
        stream.end()
        # the peer ends its side when it has read all; fluentd waits for the peer's kernel alone, by SO_LINGER
        said = await stream.read(seconds=self.options.send_timeout)
        if said.startswith(_HELO):
            raise ConnectionError("the peer asks who we are: write @type forward, with <security>")
        if said:
            raise ConnectionError(f"the peer speaks another protocol: {said[:32]!r}")


class TcpOutputOptions(StreamOptions):
    """Settings of `<match> @type tcp`."""

    host: str = param("Address or name of the peer.")
    port: int = param("Its port.", default=PORT)


class TcpOutput(Stream[TcpOutputOptions], type="tcp"):
    """Sends chunks to a forwarder over TCP: what 0.12 had before `forward`, which can do more.

    Neither TLS nor acknowledgements: a peer that is killed when it has read a chunk has lost it.
    """

    def __init__(self, options: TcpOutputOptions, host: OutputHost) -> None:
        super().__init__(options, host, Address.tcp(options.host, options.port))


class UnixOutputOptions(StreamOptions):
    """Settings of `<match> @type unix`."""

    path: str = param("The peer's Unix socket.")


class UnixOutput(Stream[UnixOutputOptions], type="unix"):
    """Sends chunks to a forwarder on this machine, over its Unix socket (`<source> @type unix`)."""

    def __init__(self, options: UnixOutputOptions, host: OutputHost) -> None:
        super().__init__(options, host, Address.unix(options.path))
