"""Outputs whose peers do what the schedule says. A peer outlives the program: what it was given is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, NamedTuple

from logpipe import EventBatch, Filter, Options, Output, PermanentError, Record, RefusedRecords, Time, param
from logpipe.plugin import Chunk
from tests.simulation.timeline import Timeline

POISON: Final = "poison"
"""A line that holds this is refused for good."""


class Delivery(NamedTuple):
    """One event that a peer has taken."""

    at: float
    tag: str
    text: str
    path: str
    source: str


class Peer:
    """What stands behind an output.

    Moods: `ok`; `fail` (every attempt), `fail1` (the next one); `lost` (it takes the next chunk, and the answer is
    lost); `part` (of the next chunk it takes half); `refuse` (everything for good); `silent` (until the mood changes);
    `slow`; `cancel` (the next attempt ends as if its library had cancelled it).
    """

    def __init__(self, name: str, timeline: Timeline) -> None:
        self.name = name
        self.mood = "ok"
        self.taken: list[Delivery] = []
        self.calls: list[tuple[float, str, str]] = []
        """When, in which mood, and what was wanted."""
        self.unsure: set[str] = set()
        """What was taken without an answer, or may have been."""
        self.refused: set[str] = set()
        self._timeline = timeline

    async def give(self, events: list[Delivery]) -> None:
        """Take events, or not."""
        mood = self.mood
        self.calls.append((self._timeline.elapsed, mood, " ".join(event.text for event in events)))
        if mood in {"fail1", "lost", "part", "cancel"}:
            self.mood = "ok"
        if mood in {"fail", "fail1"}:
            raise ConnectionError(f"{self.name} is down")
        if mood == "cancel":
            raise asyncio.CancelledError
        if mood == "refuse":
            self.refused.update(event.text for event in events)
            raise PermanentError(f"{self.name} wants none of it")
        if mood == "slow":
            await asyncio.sleep(5)
        while self.mood == "silent":
            await asyncio.sleep(0.25)
        if mood == "part":
            some = events[: (len(events) + 1) // 2]
            self._take(some, unsure=True)
            raise ConnectionError(f"{self.name} was interrupted")
        bad = {number for number, event in enumerate(events) if POISON in event.text}
        self.refused.update(events[number].text for number in bad)
        good = [event for number, event in enumerate(events) if number not in bad]
        self._take(good, unsure=mood == "lost")
        if mood == "lost":
            raise ConnectionResetError(f"{self.name}: the answer is lost")
        if bad:
            raise RefusedRecords(dict.fromkeys(bad, f"{self.name} does not take this"))

    def note_unheard(self, events: list[Delivery]) -> None:
        """Note that the answer to what was taken came too late, or to nobody."""
        self.unsure.update(event.text for event in events)
        self.calls.append((self._timeline.elapsed, "lost", " ".join(event.text for event in events)))

    def _take(self, events: Iterable[Delivery], *, unsure: bool) -> None:
        now = self._timeline.elapsed
        for event in events:
            self.taken.append(event._replace(at=now))
            if unsure:
                self.unsure.add(event.text)


peers: dict[str, Peer] = {}
"""Those of the schedule that runs."""


class ScriptedOptions(Options):
    """Which peer it is."""

    name: str = param("The peer's name.", default="out")


def _events(batches: Iterable[EventBatch]) -> list[Delivery]:
    found = []
    for batch in batches:
        for record in batch.records:
            text, path = str(record.get("message", record)), str(record.get("path", ""))
            found.append(Delivery(0.0, batch.tag, text, path, str(record.get("source", ""))))
    return found


class Scripted(Output[ScriptedOptions], type="scripted"):
    """Gives everything to a peer."""

    async def write(self, chunk: Chunk) -> None:
        await peers[self.options.name].give(_events(chunk.batches()))


class ScriptedDirect(Output[ScriptedOptions], type="scripted_direct"):
    """The same without a buffer."""

    async def process(self, batch: EventBatch) -> None:
        await peers[self.options.name].give(_events([batch]))


class Picky(Filter[Options], type="picky"):
    """Fails on what peers refuse as well."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        del tag, time
        if POISON in str(record.get("message")):
            raise ValueError("this cannot be handled")
        return record
