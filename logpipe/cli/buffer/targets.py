"""Finds the stores that the command's arguments refer to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from logpipe.builtin.buffers.file.buffer import StoredBuffer
from logpipe.builtin.buffers.file.location import Place, places_in
from logpipe.builtin.buffers.file.quarantine import CORRUPT
from logpipe.cli.arguments import settings_from
from logpipe.cli.buffer.chunks import ChunkStore
from logpipe.cli.buffer.dead_letters import CLAIMED, LetterStore, letter_stores
from logpipe.cli.buffer.dumps import DumpStore, backup_stores
from logpipe.cli.buffer.store import Item, Store, print_masked
from logpipe.config.diagnostic import ConfigError, Diagnostic, render_all
from logpipe.engine.dead_letters.files import SUFFIX
from logpipe.engine.running.graph import Graph, read_system
from logpipe.errors import LogpipeError
from logpipe.supervisor import Settings, load, registry_of


def find(given: argparse.Namespace) -> list[Store]:
    """Return the stores of the targets, or of a configuration's buffers.

    Raises:
        LogpipeError: a target or the configuration cannot be used.
        OSError: a folder cannot be read.
    """
    if not given.config:
        return [store for target in given.target for store in _target(target, is_dump=given.secondary)]
    settings = settings_from(given.config, given)
    return [own for store in _configured(settings) if (own := owned(store, settings, given))]


def owned(store: Store, settings: Settings, given: argparse.Namespace) -> Store | None:
    """Return the part of a store that belongs to a configuration, None where nothing does; all of it with --all."""
    if not isinstance(store, LetterStore) or given.all:
        return store
    own = store.written_by(str(settings.config.absolute()))
    if others := len(store.items()) - len(own.items()):
        print_masked(
            f"{store.folder}: {others} files of other configurations are left out: --all takes them", file=sys.stderr
        )
    return own if own.items() else None


def chosen(store: Store, given: argparse.Namespace) -> list[Item]:
    """Return a store's items that `--chunk` selects; all of them without it."""
    wanted = tuple(given.chunk)
    return [item for item in store.items() if not wanted or item.item_id.startswith(wanted)]


def _target(target: str, *, is_dump: bool) -> list[Store]:
    path = Path(target)
    if path.is_dir():
        stores = [
            store for folder in _folders(path) for store in (*map(ChunkStore, places_in(folder)), *_given_up(folder))
        ]
        if not stores:
            print_masked(f"no chunks in {target}", file=sys.stderr)
        return stores
    if not path.exists():
        raise LogpipeError(f"{target} is not there: give the folder of a buffer, or a chunk's file")
    if path.is_symlink():  # made for symlink_path
        path = path.resolve()
    if is_dump:
        return [DumpStore(path.parent, [path])]
    if path.name.endswith((SUFFIX, CLAIMED)):
        return [LetterStore(path.parent, path)]
    for place in places_in(path.parent):
        if place.own_id(path.name) or place.fluentd_name(path.name):
            return [ChunkStore(place, path)]
    raise LogpipeError(
        f"{target} is not named like a chunk: give the folder of a buffer, or a chunk's file; with --secondary, a file "
        "that a <secondary> of fluentd's has written"
    )


def _given_up(folder: Path) -> list[Store]:
    return [*letter_stores(folder), *backup_stores(folder)]


def _folders(root: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for folder, below, _ in os.walk(root, onerror=fail):
        below[:] = sorted(name for name in below if name != CORRUPT)
        yield Path(folder)


def letters_of(settings: Settings) -> list[Store]:
    """Return the stores of a configuration's dead letters, and of fluentd's beside them."""
    return [store for store in _configured(settings) if isinstance(store, (LetterStore, DumpStore))]


def _configured(settings: Settings) -> Iterator[Store]:
    """Yield the stores of each buffer, of every worker."""
    found: list[Diagnostic] = []
    workers = read_system(load(settings, found.append), found.append).workers
    seen: set[tuple[Path, str]] = set()
    any_letters = False
    for worker_id in range(workers):
        graph = build_graph(replace(settings, worker_id=worker_id), workers)
        for outlet in graph.outlets:
            if not isinstance(outlet.buffer, StoredBuffer):
                continue
            location = outlet.buffer.locate()
            places = [*location.own, *([] if location.beside is None else [location.beside])]
            yield from map(ChunkStore, _new(places, seen))
        files = graph.world.dead_letters.files
        evacuated = files.base / "buffer"  # by fluentd, with their metadata, when it had given up
        for folder in _folders(evacuated) if evacuated.is_dir() else ():
            yield from map(ChunkStore, _new(places_in(folder), seen))
        folder = files.folder_of_all
        letters = [store for below in _folders(folder) for store in _given_up(below)] if folder.is_dir() else []
        any_letters = any_letters or bool(letters)
        yield from letters
    if not seen and not any_letters:
        print_masked(
            f"no output of {settings.config} keeps chunks in files, and there are no dead letters", file=sys.stderr
        )


def _new(places: list[Place], seen: set[tuple[Path, str]]) -> list[Place]:
    """Return the places that are there and were not yet seen, which they are now."""
    new = [place for place in places if (place.folder, place.prefix) not in seen and place.folder.is_dir()]
    seen.update((place.folder, place.prefix) for place in new)
    return new


def build_graph(settings: Settings, workers: int = 1, *, beside: bool = False) -> Graph:
    """Build a worker's graph without side effects; print the errors where that fails.

    `beside` is for a graph that runs beside the engine's: without sources, and with every buffer in memory.
    """
    found: list[Diagnostic] = []
    root = load(settings, found.append)
    graph: Graph | None = None
    if not _errors(found):
        with suppress(ConfigError):  # its diagnostics were reported
            graph = Graph.build(
                root,
                registry=registry_of(settings, found.append),
                report=found.append,
                worker_id=settings.worker_id or 0,
                workers=workers,
                strict_values=settings.strict_values,
                compat=settings.compat,
                with_sources=not beside,
                in_memory=beside,
                config_path=settings.config,
            )
    if graph is None:
        for text in render_all(_errors(found)):
            print_masked(text, file=sys.stderr)
        raise LogpipeError(f"{settings.config} cannot be used: {len(_errors(found))} errors, shown above")
    return graph


def _errors(found: list[Diagnostic]) -> list[Diagnostic]:
    return [diagnostic for diagnostic in found if diagnostic.severity == "error"]
