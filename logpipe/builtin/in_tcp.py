"""Takes messages over TCP and TLS, with a delimiter behind each. Settings and rules: fluentd's plugin/in_tcp.rb."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from logpipe import InputHost, InvalidSetting, PluginConf, Size, param, plugin_section, section
from logpipe.builtin.message_inputs.framing import LONGEST, Delimited
from logpipe.builtin.message_inputs.options import MessageOptions, SecurityOptions, check_delimiter
from logpipe.builtin.message_inputs.plain import PlainInput, check_extract
from logpipe.builtin.message_inputs.receiving import Senders
from logpipe.builtin.peers import Networks
from logpipe.codec import ExtractOptions
from logpipe.net import TransportOptions, refuse_others


class TcpOptions(MessageOptions):
    """Settings of `<source> @type tcp`."""

    port: int = param("Port to listen on. 0 takes any free one.", default=5170)
    source_host_key: str | None = param(
        "Field for the sender's host name.", default=None, deprecated="write source_hostname_key"
    )
    message_length_limit: Size | None = param(
        "Longest message; a longer one is left out, with a warning. Unset: 16m; Fluentd has no limit then.",
        default=None,
    )
    delimiter: str = param("What stands behind each message.", default="\n")
    send_keepalive_packet: bool = param(
        "Have the kernel find out that a sender is gone (SO_KEEPALIVE), whose connection stays open otherwise.",
        default=False,
    )
    parse: PluginConf = plugin_section("How a message is read.", kind="parser", required=True)
    extract: ExtractOptions | None = section("Takes the tag from a field of the record.")
    security: SecurityOptions | None = section("Who may send; without it, everybody.")
    transport: TransportOptions = section("Whether TLS is spoken, and who is let in.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be listened on, or does nothing."""
        yield from super().check()
        yield from refuse_others(self.transport, ("tcp", "tls"))
        yield from check_delimiter(self.delimiter)
        yield from check_extract(self.extract)


class Tcp(PlainInput[TcpOptions], type="tcp"):
    """Makes an event of each message; what is not in the parser's format is warned of.

    A connection is not read while outputs take nothing, so that its sender waits. What has come of a message when its
    connection ends is no message.
    """

    protected_by: ClassVar = {
        "security": "<security> with <client>",
        "transport": "<transport tls> with client_cert_auth true",
    }

    def __init__(self, options: TcpOptions, host: InputHost) -> None:
        super().__init__(options, host, options.parse, options.extract)
        allowed = None
        if options.security is not None:
            clients = options.security.clients
            allowed = Networks(
                filter(None, (each.network for each in clients)), filter(None, (each.host for each in clients))
            )
        limit = options.message_length_limit
        self.listen_for_connections(
            options.transport,
            partial(Delimited, options.delimiter.encode(), LONGEST if limit is None else limit),
            is_probed=options.send_keepalive_packet,
            senders=Senders(
                host,
                address_key=options.source_address_key,
                name_key=options.source_hostname_key or options.source_host_key,
            ),
            allowed=allowed,
        )
