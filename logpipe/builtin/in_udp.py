"""Takes messages over UDP, one a datagram. Settings and rules: fluentd's plugin/in_udp.rb."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from logpipe import InputHost, InvalidSetting, PluginConf, Size, param, plugin_section, section
from logpipe.builtin.message_inputs.options import MessageOptions, UdpTransportOptions
from logpipe.builtin.message_inputs.plain import PlainInput, check_extract
from logpipe.builtin.message_inputs.receiving import Senders
from logpipe.codec import ExtractOptions
from logpipe.net import refuse_others

_LONGEST = 65535


class UdpOptions(MessageOptions):
    """Settings of `<source> @type udp`."""

    port: int = param("Port to listen on. 0 takes any free one.", default=5160)
    source_host_key: str | None = param(
        "Field for the sender's host name.", default=None, deprecated="write source_hostname_key"
    )
    body_size_limit: Size | None = param("Longest message.", default=None, deprecated="write message_length_limit")
    message_length_limit: Size = param(
        "Longest message; what is beyond it is cut off, and the message counted in `cut_messages`.", default="4096"
    )
    remove_newline: bool = param("Take a newline off the end of a message.", default=True)
    receive_buffer_size: Size | None = param(
        "Size of the kernel's buffer for what comes (SO_RCVBUF).",
        default=None,
        deprecated="write it into <transport udp>",
    )
    parse: PluginConf = plugin_section("How a message is read.", kind="parser", required=True)
    extract: ExtractOptions | None = section("Takes the tag from a field of the record.")
    transport: UdpTransportOptions = section("The size of the kernel's buffer.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be listened on, or does nothing."""
        yield from super().check()
        yield from refuse_others(self.transport, ("udp",))
        yield from check_extract(self.extract)


class Udp(PlainInput[UdpOptions], type="udp"):
    """Makes an event of each datagram; what is not in the parser's format is warned of.

    While outputs take nothing the kernel keeps what it has room for, and drops the rest: `dropped_datagrams`.
    """

    def __init__(self, options: UdpOptions, host: InputHost) -> None:
        super().__init__(options, host, options.parse, options.extract)
        transport = copy.copy(options.transport)
        if options.receive_buffer_size is not None:
            object.__setattr__(transport, "receive_buffer_size", options.receive_buffer_size)
        limit = options.message_length_limit if options.body_size_limit is None else options.body_size_limit
        self.listen_for_datagrams(
            transport,
            min(limit, _LONGEST),
            chomps=options.remove_newline,
            senders=Senders(
                host,
                address_key=options.source_address_key,
                name_key=options.source_hostname_key or options.source_host_key,
            ),
        )
