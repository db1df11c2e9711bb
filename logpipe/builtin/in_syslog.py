"""Takes syslog messages over UDP, TCP and TLS. Settings and rules: fluentd's plugin/in_syslog.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import compress
from typing import Any, ClassVar, Final, Literal, NamedTuple

from logpipe import (
    EventBatch,
    InputHost,
    InvalidSetting,
    PluginConf,
    Record,
    Size,
    Time,
    param,
    plugin_section,
    section,
)
from logpipe.builtin.message_inputs.framing import Delimited, OctetCounted
from logpipe.builtin.message_inputs.options import MessageOptions, UdpTransportOptions, check_delimiter
from logpipe.builtin.message_inputs.plugin import MessageInput
from logpipe.builtin.message_inputs.receiving import Fields, Senders
from logpipe.codec import text_or_bytes

FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "at", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
SEVERITIES: Final = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")

_PRIORITY: Final = re.compile(rb"^<([0-9]{1,20})>(.*)", re.MULTILINE)
_HIGHEST_PRIORITY: Final = 191
_LONGEST_DATAGRAM: Final = 65535


def _protocol(text: str) -> str:
    if text.lower() not in {"tcp", "udp"}:
        raise ValueError(f'"{text}" is no protocol: write udp or tcp')
    return text.lower()  # compat: 0.12's in_syslog.rb takes TCP as well


class SyslogOptions(MessageOptions):
    """Settings of `<source> @type syslog`."""

    port: int = param("Port to listen on. 0 takes any free one.", default=5140)
    tag: str = param("Prefix of the tag, which is `TAG.FACILITY.SEVERITY`.")
    protocol_type: Literal["tcp", "udp"] | None = param(
        "Whether to listen for datagrams or connections; goes before `<transport>`.",
        default=None,
        convert=_protocol,
        deprecated="write <transport udp> or <transport tcp>",
    )
    frame_type: Literal["traditional", "octet_count"] = param(
        "How messages over TCP are told apart: by the `delimiter` behind each, or by the length before it.",
        default="traditional",
    )
    delimiter: str = param("What stands behind each message over TCP.", default="\n")
    message_length_limit: Size = param(
        "Longest datagram; what is beyond it is cut off, and the message counted in `cut_messages`. Over TCP messages "
        "have up to 16 MiB, as they have no limit in Fluentd.",
        default="2048",
    )
    emit_unmatched_lines: bool = param(
        "Emit messages that are in no format as `unmatched_line`, with the tag `TAG.unmatched`.", default=False
    )
    severity_key: str | None = param("Field for the severity, `err`.", default=None, alias="priority_key")
    facility_key: str | None = param("Field for the facility, `authpriv`.", default=None)
    include_source_host: bool = param(
        "Add the sender's address, as `source_host_key`.", default=False, deprecated="write source_address_key"
    )
    source_host_key: str = param("Field of `include_source_host`.", default="source_host")
    resolve_hostname: bool | None = param(
        "Whether the sender's name is looked up; only `source_hostname_key` shows it, which does so anyway.",
        default=None,
    )
    send_keepalive_packet: bool = param(
        "Have the kernel find out that a sender is gone (SO_KEEPALIVE), whose connection stays open otherwise.",
        default=False,
    )
    allow_without_priority: bool = param(
        "Take messages without a priority, as if they had the `default_priority`; 0.12 alone had it.", default=False
    )
    default_priority: int = param("For `allow_without_priority`: 13 is user.notice.", default=13)
    parse: PluginConf = plugin_section(
        "How a message is read; a parser other than syslog gets what is behind the priority.",
        kind="parser",
        default_type="syslog",
        defaults={"with_priority": "true"},
    )
    transport: UdpTransportOptions = section("What is spoken: udp, tcp, or tls.")

    @property
    def protocol(self) -> str:
        """What is spoken."""
        if self.protocol_type == "tcp" and self.transport.protocol == "tls":
            return "tls"  # compat: plugin_helper/server.rb looks at <transport> again
        return self.protocol_type or self.transport.protocol

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what does not go together."""
        yield from super().check()
        yield from check_delimiter(self.delimiter)
        if not 0 <= self.default_priority <= _HIGHEST_PRIORITY:
            yield InvalidSetting(f"default_priority must be 0 ~ {_HIGHEST_PRIORITY}", param="default_priority")
        if self.include_source_host and self.source_address_key is not None:
            message = "specify either source_address_key or include_source_host"
            yield InvalidSetting(message, param="include_source_host")
        if self.source_hostname_key is not None and self.resolve_hostname is False:
            message = "resolve_hostname must be true with source_hostname_key: remove it"
            yield InvalidSetting(message, param="resolve_hostname")
        if self.send_keepalive_packet and self.protocol == "udp":
            message = "send_keepalive_packet is available for tcp/tls: add <transport tcp>"
            yield InvalidSetting(message, param="send_keepalive_packet")


class _Origin(NamedTuple):
    """What a priority says."""

    tag: str
    facility: str | None
    severity: str


class Syslog(MessageInput[SyslogOptions], type="syslog"):
    """Makes an event of each message, with a tag by its facility and severity: `system.authpriv.err`.

    What is not in the parser's format is warned of. A connection is not read while outputs take nothing, so that its
    sender waits; of datagrams the kernel keeps what it has room for, and drops the rest: `dropped_datagrams`.
    """

    protected_by: ClassVar = {"transport": "<transport tls> with client_cert_auth true"}

    def __init__(self, options: SyslogOptions, host: InputHost) -> None:
        super().__init__(options, host, options.parse)
        self._origins: dict[int, _Origin] = {}
        senders = Senders(
            host,
            # compat: in_syslog.rb writes the address, 0.12's wrote the name
            address_key=options.source_host_key if options.include_source_host else options.source_address_key,
            name_key=options.source_hostname_key,
        )
        if options.protocol == "udp":
            limit = min(options.message_length_limit, _LONGEST_DATAGRAM)
            self.listen_for_datagrams(options.transport, limit, chomps=True, senders=senders)
            return
        self.listen_for_connections(
            options.transport,
            OctetCounted if options.frame_type == "octet_count" else partial(Delimited, options.delimiter.encode()),
            is_probed=options.send_keepalive_packet,
            senders=senders,
        )

    def batches(
        self, messages: list[bytes], fields: Fields | Sequence[Fields], now: Time, *, is_first: bool
    ) -> list[EventBatch]:
        """Return the events of messages."""
        read = self._with_priority(messages) if self.options.allow_without_priority else messages
        if self.parser.takes_priority:
            times, records, numbers, unmatched = self.parser.parse(read, now)
            priorities = [record.pop("pri", None) for record in records]
            if None in priorities:  # not for long: a message has one in nearly every format
                found = [type(each) is int for each in priorities]
                unmatched = sorted({*unmatched, *(n for n, has in zip(numbers, found, strict=True) if not has)})
                times, records = list(compress(times, found)), list(compress(records, found))
                numbers, priorities = list(compress(numbers, found)), list(compress(priorities, found))
            without: list[int] = []
        else:
            cut = list(map(_PRIORITY.search, read))
            without = [number for number, each in enumerate(cut) if each is None]
            kept = [(number, each) for number, each in enumerate(cut) if each is not None]
            times, records, numbers, unmatched = self.parser.parse([each[2] for _, each in kept], now)
            priorities = [int(kept[number][1][1]) for number in numbers]
            numbers = [kept[number][0] for number in numbers]
            unmatched = [kept[number][0] for number in unmatched]
        if is_first and (without or unmatched):
            self.complaints.unmatched("invalid syslog message", [messages[number] for number in without])
            self.complaints.unmatched("failed to parse message", [messages[number] for number in unmatched])
        self._complete(records, numbers, priorities, fields)
        batches = self._batches(times, records, priorities)
        if self.options.emit_unmatched_lines and (without or unmatched):
            batches.append(self._of_unmatched(messages, sorted([*without, *unmatched]), fields, now))
        return batches

    def _with_priority(self, messages: list[bytes]) -> list[bytes]:
        added = b"<%d>" % self.options.default_priority
        return [each if _PRIORITY.search(each) is not None else added + each for each in messages]

    def _complete(
        self, records: list[Record], numbers: Sequence[int], priorities: list[Any], fields: Fields | Sequence[Fields]
    ) -> None:
        """Write into the records what their senders and their priorities say."""
        for key, place in ((self.options.severity_key, 2), (self.options.facility_key, 1)):
            if key is not None:
                for record, priority in zip(records, priorities, strict=True):
                    record[key] = self._origin(priority)[place]
        if isinstance(fields, dict):
            if fields:
                for record in records:
                    record.update(fields)
        else:
            for record, number in zip(records, numbers, strict=True):
                record.update(fields[number])

    def _batches(self, times: list[Time], records: list[Record], priorities: list[Any]) -> list[EventBatch]:
        """Return a batch for each tag."""
        several = dict.fromkeys(priorities)
        if len(several) <= 1:
            return [EventBatch(self._origin(priority).tag, times, records) for priority in several]
        batches: dict[int, EventBatch] = {
            priority: EventBatch(self._origin(priority).tag, [], []) for priority in several
        }
        for priority, time, record in zip(priorities, times, records, strict=True):
            batch = batches[priority]
            batch.times.append(time)
            batch.records.append(record)
        return [*batches.values()]

    def _of_unmatched(
        self, messages: list[bytes], numbers: list[int], fields: Fields | Sequence[Fields], now: Time
    ) -> EventBatch:
        records = [
            {
                "unmatched_line": text_or_bytes(messages[number]),
                **(fields if isinstance(fields, dict) else fields[number]),
            }
            for number in numbers
        ]
        return EventBatch(f"{self.options.tag}.unmatched", [now] * len(records), records)

    def _origin(self, priority: int) -> _Origin:
        """Return what a priority says.

        compat: of one beyond 191 the facility is nil, and its part of the tag is empty
        """
        known = self._origins.get(priority)
        if known is None:
            number = priority >> 3
            facility = FACILITIES[number] if 0 <= number < len(FACILITIES) else None
            severity = SEVERITIES[priority & 7]
            known = _Origin(f"{self.options.tag}.{facility or ''}.{severity}", facility, severity)
            if facility is not None:  # all others are strangers' to choose
                self._origins[priority] = known
        return known
