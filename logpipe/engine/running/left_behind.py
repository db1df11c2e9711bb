"""Events in buffers that the configuration names no more: said at the start and at the stop, until they are gone.

So are dead letters, whoever has left them.

Each run writes down where its buffers keep chunks, beside the dead letters. What a later run of the same file does not
use any more (a changed path, `@type memory`, an `@id` of another name, fewer workers) is looked at, and nothing else.
What the next run in the same process finds in a place that it does use is a link of its ledger.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from logpipe.durable import Disk
from logpipe.engine.accounting import Edge
from logpipe.engine.dead_letters.kept import say_kept
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.engine.hosts.host import World
from logpipe.errors import LogpipeError
from logpipe.plugin import Buffer
from logpipe.registry import Registry


class Kept(NamedTuple):
    """Where a buffer keeps its chunks."""

    type: str
    place: str


class LeftBehind:
    """The places of one configuration's buffers, those of earlier runs included. Everything here blocks.

    Args:
        folder: where to write them down.
        world: says which worker of which configuration this is.
        registry: knows the types of buffers.
        log: told of events that nobody delivers.
    """

    def __init__(
        self, folder: Path, world: World, registry: Registry, log: logging.Logger | logging.LoggerAdapter[Any]
    ) -> None:
        self._config_path = world.config_path
        self._letters = world.dead_letters.files
        name = hashlib.blake2b(os.fsencode(world.config_path), digest_size=8).hexdigest()
        self._file = folder / f"buffers-{name}-worker{world.worker_id}.json"
        self._of_all = f"buffers-{name}-worker*.json"
        self._worker_id, self._workers = world.worker_id, world.workers
        self._disk = Disk(world.files, "places")
        self._registry = registry
        self._log = log
        self._others: list[Kept] = []

    def begin(self, buffers: list[Buffer[Any]]) -> None:
        """Say what earlier runs have left in other places than these buffers use, and write all of them down."""
        used = [Kept(buffer.types[0], buffer.place) for buffer in buffers if buffer.place]
        with suppress(OSError):  # it is for an operator's information
            known = {kept for file in self._files() for kept in _read(file)}
            self._others = sorted(known - set(used))
            self._letters.keeper.look()
            left = self.say()
            if used or left or self._file.exists():
                self._write([*used, *left])

    def say(self) -> list[Kept]:
        """Say what is left now, dead letters included, and return where in buffers."""
        with suppress(OSError):
            say_kept(self._letters.folder_of_all, self._config_path, self._log)
        left: list[Kept] = []
        for kept in self._others:
            count = self._count(kept)
            if count:
                left.append(kept)
                folder = os.path.dirname(kept.place)  # noqa: PTH120 - a pattern, and no path
                self._log.warning(
                    "%d events stay in %s: no <buffer> of %s keeps its chunks there any more. To deliver them: logpipe "
                    "buffer replay %s -c %s --to ID, with the @id of an output or a label",
                    count,
                    kept.place,
                    self._config_path,
                    folder,
                    self._config_path,
                )
        return left

    def _count(self, kept: Kept) -> int:
        try:
            cls = self._registry.find("buffer", kept.type)
            return cls.left_in(kept.place) if issubclass(cls, Buffer) else 0
        except (OSError, LogpipeError):  # nobody can tell any more
            return 0

    def _files(self) -> list[Path]:
        """Return what this worker has written, and for the first one what workers have that are no more."""
        files = [self._file]
        if self._worker_id == 0:
            for file in self._file.parent.glob(self._of_all):
                number = file.stem.rpartition("worker")[2]
                if number.isdecimal() and int(number) >= self._workers:
                    files.append(file)
        return files

    def _write(self, places: list[Kept]) -> None:
        self._disk.make_folder(self._file.parent)
        self._disk.replace(self._file, [json.dumps(places).encode()])


def _read(file: Path) -> list[Kept]:
    try:
        rows = json.loads(file.read_bytes())
        return [Kept(str(type_), str(place)) for type_, place in rows]
    except (OSError, ValueError, TypeError):
        return []


Left: TypeAlias = Mapping[str, int]
"""Events by the place of the buffer that holds them, as `Buffer.place` says it."""


def left_in(outlets: Iterable[BufferedOutlet]) -> Left:
    """Return what buffers hold that survive this run, but for those that hold chunks which nobody has counted."""
    return {
        outlet.buffer.place: outlet.staging.waiting
        for outlet in outlets
        if outlet.buffer.place and not outlet.staging.uncounted
    }


def reload_edges(before: Left, outlets: Iterable[BufferedOutlet]) -> Iterator[Edge]:
    """Yield the links from the run before to the outputs whose buffers are where its were: left = resumed.

    What is in other places has no taker here, and is said by left_behind.py.
    """
    for outlet in outlets:
        if outlet.buffer.place in before and not outlet.staging.uncounted:
            title = f"output {outlet.host.plugin_id}"
            yield Edge(f"{title} before", title, before[outlet.buffer.place], outlet.staging.resumed.value)
