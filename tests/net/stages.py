"""Inputs that listen, one of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from logpipe import EventBatch, Input, InputHost, InvalidSetting, Options, param, section
from logpipe.net import (
    ANY,
    Address,
    BasicAuth,
    Connection,
    Cors,
    Datagrams,
    Endpoint,
    HttpLimits,
    HttpServer,
    Limits,
    Listener,
    Reply,
    Request,
    Route,
    TransportOptions,
    refuse_others,
)


class ListenOptions(Options):
    """Where it listens."""

    bind: str = param("Address.", default="127.0.0.1")
    port: int = param("Port.", default=0)
    path: str | None = param("Path of a Unix socket.", default=None)
    users: dict[str, str] = param("Who may come.", default={})
    origins: list[str] = param("Whose pages may.", default=[])
    transport: TransportOptions = section("How.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is not spoken."""
        yield from refuse_others(self.transport, ("tcp", "tls", "udp"))


class Listens(Input[ListenOptions]):
    """What the three have in common."""

    several_workers = True
    listens = "send events"
    limits: ClassVar[Any]
    endpoint: Endpoint
    door: Listener | Datagrams | HttpServer
    is_quiet = False

    def __init__(self, options: ListenOptions, host: InputHost) -> None:
        super().__init__(options, host)
        is_udp = options.transport.protocol == "udp"
        make, make_file = (Address.udp, Address.unixgram) if is_udp else (Address.tcp, Address.unix)
        address = make_file(options.path) if options.path else make(options.bind, options.port)
        self.endpoint = host.endpoint(address)
        self.given = {"log": host.log, "transport": options.transport}

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.endpoint.names()[0][1]

    async def start(self) -> None:
        await self.door.start()

    async def run(self) -> None:
        """Do nothing: what comes makes events."""

    async def quiesce(self) -> None:
        await self.door.quiesce()
        self.is_quiet = True

    async def stop(self) -> None:
        await self.door.stop()

    async def take(self, text: str, **more: Any) -> None:
        """Emit an event."""
        await self.host.emit(EventBatch("came", [self.host.clock.now()], [{"text": text, **more}]))


class Lines(Listens, type="lines_listener"):
    """Emits each line that comes over a connection, and sends it back."""

    limits = Limits()

    def __init__(self, options: ListenOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self.listener = Listener(
            self.endpoint, self._serve, start_task=host.start_task, limits=self.limits, **self.given
        )
        self.door = self.listener

    async def _serve(self, connection: Connection) -> None:
        rest = b""
        while data := await connection.read():
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > 1000:
                return
            for line in lines:
                certificate = connection.certificate
                who = {} if certificate is None else {"who": dict(pair[0] for pair in certificate["subject"])}
                await self.take(line.decode("latin1"), peer=connection.peer, **who)
                await connection.write(line + b"\n")


class Packets(Listens, type="packets_listener"):
    """Emits each datagram."""

    def __init__(self, options: ListenOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self.datagrams = Datagrams(self.endpoint, self._take, longest=100, **self.given)
        self.door = self.datagrams

    def _take(self, found: list[tuple[bytes, Any]]) -> None:
        for data, _ in found:
            self.host.start_task(self.take(data.decode("latin1")), name="datagram")


class Web(Listens, type="web_listener"):
    """Emits each body that is posted."""

    limits = HttpLimits()

    def __init__(self, options: ListenOptions, host: InputHost) -> None:
        super().__init__(options, host)
        self.server = HttpServer(
            self.endpoint,
            {
                "/fails": Route(self._fails),
                "/large": Route(self._large),
                ANY: Route(self._post, frozenset({"POST", "PUT"}), body_limit=100_000),
            },
            start_task=host.start_task,
            limits=self.limits,
            auth=BasicAuth(options.users) if options.users else None,
            cors=Cors(tuple(options.origins)) if options.origins else None,
            **self.given,
        )
        self.door = self.server

    async def _post(self, request: Request) -> Reply:
        await self.take(request.body.decode("latin1"), path=request.path, user=request.user)
        return Reply(
            b"taken " + str(len(request.body)).encode(), "text/plain", headers={"X-Query": str(len(request.query))}
        )

    async def _large(self, _request: Request) -> Reply:
        return Reply(b"x" * 1_000_000)

    async def _fails(self, request: Request) -> Reply:
        raise LookupError(f"secret detail of {request.path}")
