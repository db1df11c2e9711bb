"""Messages to events: what a parser makes of them; one that breaks it costs no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from logpipe.config.options import PluginConf
from logpipe.event import Record, Time
from logpipe.plugin import InputHost

_NO_TIME: Final[Time] = -(1 << 80)
"""What stands for the time of a message that has none; no parser makes it."""


class Numbered(NamedTuple):
    """The events of messages."""

    times: list[Time]
    records: list[Record]
    numbers: Sequence[int]
    """The number of each event's message, counted from 0."""
    unmatched: Sequence[int]
    """Numbers of the messages that are in no format, or have no time."""


class MessageParser:
    """Parses messages by a `<parse>` section; one that breaks the parser costs no other."""

    def __init__(self, conf: PluginConf, host: InputHost) -> None:
        parser = host.parser(conf)
        self._parse_lines = parser.parse_lines
        self._estimates = bool(getattr(parser.options, "estimate_current_event", True))
        self.takes_priority = bool(getattr(parser.options, "with_priority", False))
        """Whether it reads the priority of syslog messages."""
        self._host = host

    def parse(self, messages: list[bytes], now: Time) -> Numbered:
        """Return the events of messages."""
        stand_in = now if self._estimates else _NO_TIME
        try:
            parsed = self._parse_lines(messages, stand_in)
        except MemoryError:
            raise  # no message is to blame
        except Exception:  # noqa: BLE001 - whichever breaks it is found
            found = self._one_by_one(messages, stand_in)
        else:
            numbers = parsed.lines_of_records(len(messages))
            if numbers is None:
                found = self._one_by_one(messages, stand_in)
            else:
                found = Numbered(parsed.times, parsed.records, numbers, parsed.unmatched)
        return found if self._estimates or _NO_TIME not in found.times else _timed(found)

    def _one_by_one(self, messages: list[bytes], now: Time) -> Numbered:
        """Parse each by itself; several events may come of one."""
        times: list[Time] = []
        records: list[Record] = []
        numbers: list[int] = []
        unmatched: list[int] = []
        for number, message in enumerate(messages):
            try:
                parsed = self._parse_lines([message], now)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a message of a stranger must not cost the others
                self._host.log.debug("a message breaks its parser: %r", error)
                unmatched.append(number)
                continue
            if parsed.unmatched:
                unmatched.append(number)
            times += parsed.times
            records += parsed.records
            numbers += [number] * len(parsed.records)
        return Numbered(times, records, numbers, unmatched)


def _timed(found: Numbered) -> Numbered:
    """Return the events that have a time.

    compat: where `estimate_current_event` is false, in_tcp.rb, in_udp.rb and in_syslog.rb take a message without a time
    for one that its format does not match.
    """
    rows = [row for row in zip(found.times, found.records, found.numbers, strict=True) if row[0] != _NO_TIME]
    without = {number for time, number in zip(found.times, found.numbers, strict=True) if time == _NO_TIME}
    times, records, numbers = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    return Numbered(times, records, numbers, sorted(without.union(found.unmatched)))
