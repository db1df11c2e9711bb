"""A filter that holds events back: lines that belong together become one event, `@type join`.

It shows what such a filter owes: whoever keeps an event holds the receipt of its batch, so that a kill -9 loses
nothing; what is let go of takes those holds along; a timer and `drain` let go of what nothing follows.
"""

import re
from collections.abc import Iterator

from logpipe import EventBatch, Filter, FilterHost, InvalidSetting, Options, Receipt, Record, Seconds, Time, param


class JoinOptions(Options):
    """Settings of `<filter> @type join`."""

    key: str = param("Field whose text is joined.", default="message")
    start: re.Pattern[str] = param("How the text of the first line of an event begins.")
    separator: str = param("What stands between the lines.", default="\n")
    flush_interval: Seconds = param("How long an event waits for its next line.", default="5s")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an interval that never ends."""
        if self.flush_interval <= 0:
            yield InvalidSetting("flush_interval must be more than 0", param="flush_interval")


class Group:
    """The lines of one event."""

    def __init__(self, time: Time, record: Record) -> None:
        self.time = time
        self.record = record
        self.texts: list[str] = []
        self.receipts: list[Receipt] = []
        """Each held once."""
        self.touched = 0.0

    def add(self, text: str, receipt: Receipt | None, now: float) -> None:
        """Add a line, and hold the receipt of its batch."""
        self.texts.append(text)
        self.touched = now
        if receipt is not None and (not self.receipts or self.receipts[-1] is not receipt):
            receipt.hold()
            self.receipts.append(receipt)


class Join(Filter[JoinOptions], type="join"):
    """Joins each line that begins with `start` and those after it into one event, tag by tag.

    An event is let go of when the next of its tag begins, when no line has come for `flush_interval`, or at the end.
    """

    def __init__(self, options: JoinOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._groups: dict[str, Group] = {}

    async def start(self) -> None:
        """Begin to look for events that wait for too long."""
        self.host.start_task(self._flush(), name="flush")

    def process(self, batch: EventBatch) -> EventBatch:
        """Return the events that are complete now; the last one waits for more lines."""
        now = self.host.clock.monotonic()
        group = self._groups.get(batch.tag)
        complete: list[Group] = []
        for time, record in batch.events():
            text = str(record.get(self.options.key, ""))
            if group is None or self.options.start.match(text):
                if group is not None:
                    complete.append(group)
                group = Group(time, record)
            group.add(text, batch.receipt, now)
        if group is not None:
            self._groups[batch.tag] = group
        return self._joined(batch.tag, complete) if complete else EventBatch(batch.tag, [], [], batch.receipt)

    def held(self) -> int:
        """Return the number of lines that wait."""
        return sum(len(group.texts) for group in self._groups.values())

    async def drain(self) -> None:
        """Let go of every event, as it is."""
        for tag in list(self._groups):
            await self._let_go(tag)

    async def _flush(self) -> None:
        interval = self.options.flush_interval
        while True:
            await self.host.clock.sleep(interval / 2)
            old = self.host.clock.monotonic() - interval
            for tag in [tag for tag, group in self._groups.items() if group.touched <= old]:
                # a task for each, so that a tag whose output takes nothing does not hold up the others
                self.host.start_task(self._let_go(tag), name="forward")

    async def _let_go(self, tag: str) -> None:
        group = self._groups.pop(tag, None)
        if group is not None:
            await self.host.forward(self._joined(tag, [group]))

    def _joined(self, tag: str, groups: list[Group]) -> EventBatch:
        """Return joined events; the holds of their receipts go with the batch."""
        for group in groups:
            group.record[self.options.key] = self.options.separator.join(group.texts)
        self.host.dropped(sum(len(group.texts) - 1 for group in groups))
        receipt = Receipt.joint(receipt for group in groups for receipt in group.receipts)
        return EventBatch(tag, [group.time for group in groups], [group.record for group in groups], receipt)
