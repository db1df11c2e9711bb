"""`logpipe buffer replay`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from logpipe.cli.arguments import settings_from
from logpipe.cli.buffer import targets
from logpipe.cli.buffer.store import Item, Store, print_masked
from logpipe.cli.buffer.targets import build_graph, chosen, letters_of, owned
from logpipe.config.secrets import masked_text
from logpipe.engine.dead_letters.letters import Letter
from logpipe.engine.running.graph import Graph
from logpipe.engine.running.replay import Replay, run_beside, target_of
from logpipe.errors import LogpipeError

PROGRESS_SECONDS = 5.0


def find(given: argparse.Namespace) -> list[Store]:
    """Return the stores of the targets; without one, those of the configuration's dead letters.

    Raises:
        LogpipeError: a target or the configuration cannot be used.
    """
    settings = settings_from(given.config, given)
    if given.target:
        stores = targets.find(argparse.Namespace(**{**vars(given), "config": None}))
    else:
        stores = letters_of(settings)
    # with --to, the letters of other configurations are replayed as well
    return [own for store in stores if (own := store if given.to else owned(store, settings, given)) is not None]


def main(stores: list[Store], given: argparse.Namespace) -> int:
    """Deliver everything in the stores; 1 if not all of it was.

    Raises:
        LogpipeError: a process uses a store, or the configuration cannot be used.
    """
    log = logging.getLogger("logpipe")
    log.setLevel(logging.ERROR)  # the engine logged the configuration's warnings when it started
    handler = logging.StreamHandler()
    handler.setFormatter(_WithoutSecrets())
    log.addHandler(handler)
    try:
        return _replay(stores, given, log)
    finally:
        log.removeHandler(handler)


class _WithoutSecrets(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return masked_text(super().format(record))


def _replay(stores: list[Store], given: argparse.Namespace, log: logging.Logger) -> int:
    graph = build_graph(settings_from(given.config, given), beside=True)
    log.setLevel(logging.WARNING)
    if given.dry_run:
        return _announce(stores, given, graph)
    locked: list[Store] = []
    try:
        for store in stores:
            store.lock()
            locked.append(store)
        items = [item for store in stores for item in chosen(store, given)]
        replayer = Replayer(graph, items, given.to, given.tag)
        asyncio.run(run_beside(graph, replayer.run))
    except KeyboardInterrupt:
        print_masked("interrupted: what was not delivered stays where it was", file=sys.stderr)
        return 1
    finally:
        for store in locked:
            store.unlock()
    return replayer.status


def _announce(stores: list[Store], given: argparse.Namespace, graph: Graph) -> int:
    status = 0
    for store in stores:
        for item in chosen(store, given):
            try:
                letters = _tagged(item.letters(), given.tag)
                targets = Counter(target_of(letter, graph, given.to) for letter in letters)
            except LogpipeError as problem:
                print_masked(f"{item.path}: {problem}")
                status = 1
            else:
                print_masked(f"{item.path}: {_in_words(targets)}")
    return status


def _in_words(targets: dict[str, int]) -> str:
    return ", ".join(f"{count} events to {target}" for target, count in targets.items()) or "nothing"


def _tagged(letters: Iterator[Letter], tag: str) -> Iterator[Letter]:
    """Give a tag to letters that have none: fluentd's backups, chunks that lost their metadata."""
    return (replace(letter, tag=tag) if tag and not letter.tag else letter for letter in letters)


class Replayer:
    """Delivers items one after another.

    Args:
        graph: the running graph to deliver through.
        items: what to deliver.
        to: an output's `@id` or a label; "" for the origin of each event.
        tag: of events that have none.
    """

    def __init__(self, graph: Graph, items: list[Item], to: str, tag: str) -> None:
        self.status = 0
        self._graph = graph
        self._items = items
        self._to = to
        self._tag = tag

    async def run(self) -> None:
        """Deliver all items and print the results."""
        sent = failed = 0
        for number, item in enumerate(self._items, start=1):
            replay = Replay(self._graph, to=self._to)
            async with asyncio.TaskGroup() as group:
                progress = group.create_task(self._report_progress(number, item, replay), name="progress")
                await self._one(item, replay)
                progress.cancel()
            sent += replay.result.sent
            failed += replay.result.failed_again
        print_masked(f"{sent - failed} events delivered, {failed} are dead letters again")
        if failed:
            self.status = 1

    async def _one(self, item: Item, replay: Replay) -> None:
        try:
            item.claim()
        except FileNotFoundError:
            return  # delivered or claimed by another process meanwhile
        except LogpipeError as problem:
            self._fail(item, problem)
            return
        try:
            if damages := item.verify().damages:
                raise LogpipeError(f"it is damaged ({damages[0]}): repair it first")  # noqa: TRY301 - as any other
            await replay.send(_tagged(item.letters(), self._tag))
        except LogpipeError as problem:
            self._fail(item, problem)
            item.give_back()
            return
        except BaseException:
            item.give_back()
            raise
        item.remove()
        print_masked(f"{item.path}: {_in_words(replay.result.routes)}")

    def _fail(self, item: Item, problem: LogpipeError) -> None:
        print_masked(f"{item.path}: not replayed: {problem}")
        self.status = 1

    async def _report_progress(self, number: int, item: Item, replay: Replay) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            about = f"{item.path} ({number} of {len(self._items)})"
            print_masked(f"{about}: {replay.result.sent} events sent, waiting for their delivery", file=sys.stderr)
