"""What Prometheus asks. Settings, paths and rules: fluent-plugin-prometheus 2.2.2, in_prometheus.rb."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal

from logpipe import Input, InputHost, InvalidSetting, Options, Seconds, param, section
from logpipe.monitor import CONTENT_TYPE
from logpipe.net import Address, HttpLimits, HttpServer, Reply, Request, Route, TransportOptions, refuse_others
from logpipe_prometheus.options import WORKER_LABEL
from logpipe_prometheus.registry import REGISTRY
from logpipe_prometheus.repeats import Repeats
from logpipe_prometheus.workers import Workers, WorkersError

_HIGHEST_PORT: Final = 65535
_LIMITS: Final = HttpLimits(connections=64, line_bytes=4096)
_TAKES_GZIP: Final = re.compile(
    r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)", re.IGNORECASE
)


class SslOptions(Options):
    """`<ssl>`, in the place of which `<transport tls>` is written today."""

    _refuses_unknown = True

    enable: bool = param("Whether TLS is spoken.", default=False)
    certificate_path: str | None = param("The server's certificate.", default=None)
    private_key_path: str | None = param("The certificate's key.", default=None)
    ca_path: str | None = param("CAs of clients, none of whom is asked for a certificate.", default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be done."""
        if self.enable and not (self.certificate_path and self.private_key_path):
            yield "TLS needs a certificate: write certificate_path and private_key_path, both"

    def transport(self) -> TransportOptions:
        """Return the same as `<transport>`."""
        return TransportOptions(
            protocol="tls",
            cert_path=self.certificate_path,
            private_key_path=self.private_key_path,
            ca_path=self.ca_path,
        )


class PrometheusOptions(Options):
    """Settings of `<source> @type prometheus`."""

    bind: str = param("Address to listen on; an IPv6 address may stand in brackets.", default="127.0.0.1")
    port: int = param("Port to listen on; worker N takes the Nth port after it. 0 takes any free one.", default=24231)
    metrics_path: str = param("Path of this worker's metrics.", default="/metrics")
    aggregated_metrics_path: str = param(
        "Path of all workers' metrics, each with its label worker_id; with `port 0`, of this worker's.",
        default="/aggregated_metrics",
    )
    content_encoding: Literal["identity", "gzip"] = param(
        "Whether answers are compressed for those who take that; who does not say gets them so.", default="identity"
    )
    ignore_error_log_interval: Seconds = param(
        "How long the same error of an answer is not logged again.", default="1h"
    )
    ssl: SslOptions | None = section("As in older versions: `<transport tls>` says more.")
    transport: TransportOptions = section("Whether TLS is spoken, and who is let in.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be listened on."""
        if not 0 <= self.port <= _HIGHEST_PORT:
            yield InvalidSetting(f"port must be from 0 to {_HIGHEST_PORT}", param="port")
        for name in ("metrics_path", "aggregated_metrics_path"):
            if not getattr(self, name).startswith("/"):
                yield InvalidSetting(f"{name} begins with /", param=name)
        if self.metrics_path == self.aggregated_metrics_path:
            yield InvalidSetting("the two paths must differ", param="aggregated_metrics_path")
        yield from refuse_others(self.transport, ("tcp", "tls"))
        if self.ssl is not None and self.ssl.enable and self.transport.protocol == "tls":
            yield "<ssl> and <transport tls> say the same: remove <ssl>"

    @property
    def spoken(self) -> TransportOptions:
        """What is spoken, by `<transport>` or `<ssl>`."""
        return self.ssl.transport() if self.ssl is not None and self.ssl.enable else self.transport


class Prometheus(Input[PrometheusOptions], type="prometheus"):
    """Answers Prometheus, with what the stages `prometheus` have measured and the `prometheus_…monitor` show."""

    several_workers = True
    listens = "read what runs and what is counted, with the labels that events have"
    protected_by: ClassVar = {"transport": "<transport tls> with client_cert_auth true"}

    def __init__(self, options: PrometheusOptions, host: InputHost) -> None:
        super().__init__(options, host)
        port = options.port + host.worker_id if options.port else 0
        if port > _HIGHEST_PORT:
            raise InvalidSetting(f"port {options.port} leaves none for worker {host.worker_id}", param="port")
        bind = options.bind.removeprefix("[").removesuffix("]")
        self._labels = [(WORKER_LABEL, str(host.worker_id))] if host.workers > 1 else []
        self._one_at_a_time = asyncio.Lock()
        self._repeats = Repeats(host.log.error, host.clock.monotonic, options.ignore_error_log_interval)
        ports = {each: options.port + each for each in range(host.workers if options.port else 0)}
        others = {each: number for each, number in ports.items() if each != host.worker_id}
        self._workers = Workers(bind, others, options.metrics_path, options.spoken, host.log)
        routes = {options.metrics_path: self._own, options.aggregated_metrics_path: self._all}
        self._server = HttpServer(
            host.endpoint(Address.tcp(bind, port)),
            {path: Route(handler) for path, handler in routes.items()},
            log=host.log,
            start_task=host.start_task,
            transport=options.spoken,
            limits=_LIMITS,
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            LogpipeError: the address cannot be had, or a file of `<transport>` cannot be used.
        """
        REGISTRY.sweep()  # filters and outputs have started before
        await self._server.start()
        for url in self._server.urls():
            self.host.log.info("listening at %s%s", url, self.options.metrics_path)

    async def run(self) -> None:
        """Do nothing: requests have tasks."""

    async def quiesce(self) -> None:
        """Go on: requests are answered until the end."""

    async def stop(self) -> None:
        """Take no more requests."""
        await self._server.stop()
        await self._workers.stop()

    async def _text(self) -> str:
        return await REGISTRY.text(self.host.clock.monotonic(), self._labels)

    async def _own(self, request: Request) -> Reply:
        async with self._one_at_a_time:  # however many ask, one answer is in the making
            return await self._reply(request, await self._text())

    async def _all(self, request: Request) -> Reply:
        async with self._one_at_a_time:
            own = await self._text()
        try:
            text = await self._workers.combined(self.host.worker_id, own)
        except WorkersError as problem:
            self._repeats("metrics of all workers: %s", problem)
            return Reply(b"a worker does not answer\n", "text/plain; charset=utf-8", 503)
        return await self._reply(request, text)

    async def _reply(self, request: Request, text: str) -> Reply:
        body = text.encode("utf-8", "replace")
        wanted = request.headers.get("Accept-Encoding")
        if self.options.content_encoding != "gzip" or (wanted is not None and not _TAKES_GZIP.search(wanted)):
            return Reply(body, CONTENT_TYPE)
        packed = await self.host.in_thread(gzip.compress, body, 6)
        return Reply(packed, CONTENT_TYPE, headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
