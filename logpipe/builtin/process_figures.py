"""Inputs that emit figures of this process every so often, as Fluentd's in_gc_stat.rb and in_object_space.rb do."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeVar

from logpipe import EventBatch, Input, InputHost, InvalidSetting, Options, Record, Seconds, param

_SLICE: Final = 10_000
"""Objects that are counted before other threads get a turn."""


class FiguresOptions(Options):
    """Settings that both have."""

    emit_interval: Seconds = param("How often figures are emitted.", default="60")
    tag: str = param("Tag of the events.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an interval that is none."""
        if self.emit_interval <= 0:
            yield InvalidSetting("emit_interval must be more than 0", param="emit_interval")


O = TypeVar("O", bound=FiguresOptions)  # noqa: E741 - the one letter that reads as "options"


class Figures(Input[O]):
    """Override `figures`. What no output accepts is not emitted again: the next figures are newer."""

    several_workers = True
    keeps_tag = True

    def __init__(self, options: O, host: InputHost) -> None:
        super().__init__(options, host)
        self._lost = host.counter("lost_records", "Events that no output accepted.")

    def figures(self) -> Record:
        """Return them; called in a thread."""
        raise NotImplementedError

    async def run(self) -> None:
        """Emit until cancelled."""
        clock = self.host.clock
        due = clock.monotonic()
        while True:
            due = max(due + self.options.emit_interval, clock.monotonic())
            await clock.sleep(due - clock.monotonic())
            now = clock.now()
            record = await self.host.in_thread(self.figures)
            try:
                await self.host.emit(EventBatch(self.options.tag, [now], [record]))
            except Exception as error:  # noqa: BLE001 - whatever an output says, there will be others
                self._lost.add(1)
                self.host.log.warning("figures were not accepted: %r", error)


class GcStatOptions(FiguresOptions):
    """Settings of `<source> @type gc_stat`."""

    use_symbol_keys: bool = param("Accepted for compatibility: keys are text here.", default=True)


class GcStat(Figures[GcStatOptions], type="gc_stat"):
    """Emits figures of Python's memory under the names that Ruby's `GC.stat` has for the same.

    `count`, `minor_gc_count` and `major_gc_count` are the runs of the garbage collector, of all generations, the
    younger, and the oldest; `total_freed_objects` what it has collected, which leaves out what went when nothing
    referred to it; `heap_live_slots` the memory blocks in use. Ruby's other figures are of pages and slots that Python
    has not.
    """

    def figures(self) -> Record:
        """Return them."""
        generations = gc.get_stats()
        runs = [generation["collections"] for generation in generations]
        return {
            "count": sum(runs),
            "minor_gc_count": sum(runs[:-1]),
            "major_gc_count": runs[-1],
            "total_freed_objects": sum(generation["collected"] for generation in generations),
            "heap_live_slots": sys.getallocatedblocks(),
        }


class ObjectSpaceOptions(FiguresOptions):
    """Settings of `<source> @type object_space`."""

    top: int = param("How many classes are named, those with the most objects first.", default=15)


class ObjectSpace(Figures[ObjectSpaceOptions], type="object_space"):
    """Emits how many objects there are of each class, by its name: `dict`, `logpipe.event.batch.EventBatch`.

    It sees what Python's garbage collector does: containers and instances, and neither text nor numbers, nor what was
    there before the worker began its work.
    """

    def figures(self) -> Record:
        """Return them."""
        objects = gc.get_objects()
        counts: Counter[type] = Counter()
        for start in range(0, len(objects), _SLICE):
            counts.update(map(type, objects[start : start + _SLICE]))
        del objects
        by_name: Counter[str] = Counter()
        for cls, count in counts.items():  # several may have one name
            by_name[_name(cls)] += count
        return dict(by_name.most_common(max(0, self.options.top)))


def _name(cls: type) -> str:
    module, name = str(cls.__module__), str(cls.__qualname__)
    return name if module == "builtins" else f"{module}.{name}"
