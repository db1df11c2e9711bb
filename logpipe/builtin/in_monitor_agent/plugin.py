"""Shows what runs and what is counted, over HTTP and as events. Settings: fluentd's plugin/in_monitor_agent.rb.

plugin.py       settings, and the events of `tag`
answers.py      the paths, and what is answered at each
states.py       one plugin's numbers by fluentd's names
prometheus.py   all numbers as Prometheus reads them
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from logpipe import EventBatch, Input, InputHost, InvalidSetting, Options, Seconds, param, section
from logpipe.builtin.in_monitor_agent.answers import Answers
from logpipe.builtin.in_monitor_agent.states import Shown, show
from logpipe.net import Address, HttpLimits, HttpServer, TransportOptions, refuse_others

_HIGHEST_PORT = 65535
LIMITS: Final = HttpLimits(connections=64, line_bytes=4096)


class MonitorAgentOptions(Options):
    """Settings of `<source> @type monitor_agent`."""

    bind: str = param(
        "Address to listen on. There is no way to ask who comes: write 127.0.0.1 unless others must read it.",
        default="0.0.0.0",  # noqa: S104 - fluentd's, and `logpipe check` warns of it
    )
    port: int = param("Port to listen on; worker N takes the Nth port after it. 0 takes any free one.", default=24220)
    tag: str | None = param(
        "Tag of events that hold the same as /api/plugins.json; none are made without it.", default=None
    )
    emit_interval: Seconds = param("How often these events are made.", default="60s")
    emit_config: bool = param("0.12's: put the parameters of each plugin into its event, too.", default=False)
    include_config: bool = param(
        "Show the parameters of each plugin's section, secrets masked; ?with_config=no leaves them out.", default=False
    )
    include_retry: bool = param(
        "Show how far a failing output has come with its retries; ?with_retry=no leaves it out.", default=False
    )
    include_debug_info: bool = param(
        "Accepted for fluentd's sake: variables of plugins are never shown, whatever ?with_ivars or ?debug asks for.",
        default=False,
    )
    transport: TransportOptions = section("Whether TLS is spoken, and who is let in.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be listened on."""
        if not 0 <= self.port <= _HIGHEST_PORT:
            yield InvalidSetting(f"port must be from 0 to {_HIGHEST_PORT}", param="port")
        if self.emit_interval <= 0:
            yield InvalidSetting("emit_interval must be more than 0", param="emit_interval")
        yield from refuse_others(self.transport, ("tcp", "tls"))


class MonitorAgent(Input[MonitorAgentOptions], type="monitor_agent"):
    """Answers GET requests with the state and the numbers of every plugin, for people, Prometheus and monitoring tools.

    Paths: /api/plugins and /api/config (LTSV), /api/plugins.json, /api/config.json, /api/ledger.json, /api/health,
    /metrics.
    """

    several_workers = True
    keeps_tag = True
    listens = "read what runs and what is counted, and settings by include_config"
    protected_by: ClassVar = {"transport": "<transport tls> with client_cert_auth true"}

    def __init__(self, options: MonitorAgentOptions, host: InputHost) -> None:
        super().__init__(options, host)
        port = options.port + host.worker_id if options.port else 0  # compat: in_monitor_agent.rb
        if port > _HIGHEST_PORT:
            raise InvalidSetting(f"port {options.port} leaves none for worker {host.worker_id}", param="port")
        self._is_quiet = False
        answers = Answers(host, Shown(config=options.include_config, retry=options.include_retry))
        self._server = HttpServer(
            host.endpoint(Address.tcp(options.bind, port)),
            answers.routes(),
            log=host.log,
            start_task=host.start_task,
            transport=options.transport,
            limits=LIMITS,
        )
        self._lost = host.counter("lost_records", "Events of `tag` that no output accepted.")

    async def start(self) -> None:
        """Listen.

        Raises:
            LogpipeError: the address cannot be had, or a file of `<transport>` cannot be used.
        """
        await self._server.start()
        for url in self._server.urls():
            self.host.log.info("listening at %s/api/plugins.json", url)

    async def run(self) -> None:
        """Emit the state of each plugin every `emit_interval`."""
        tag = self.options.tag
        if tag is None:
            return
        while True:
            await self.host.clock.sleep(self.options.emit_interval)
            if self._is_quiet:
                return
            await self._emit(tag)

    async def quiesce(self) -> None:
        """Make no more events; requests are answered until the end."""
        self._is_quiet = True

    async def _emit(self, tag: str) -> None:
        now = self.host.clock.now()
        # compat: in_monitor_agent.rb leaves config and retry out of events, whatever is included elsewhere
        shown = Shown(config=self.options.emit_config)
        records = [show(state, shown) for state in self.host.monitor.plugins()]
        count = len(records)
        try:
            await self.host.emit(EventBatch(tag, [now] * count, records))
        except Exception as error:  # noqa: BLE001 - the next ones say more, whatever an output says
            self._lost.add(count)
            self.host.log.debug("events about plugins were not accepted: %r", error)

    async def stop(self) -> None:
        """Take no more requests."""
        await self._server.stop()
