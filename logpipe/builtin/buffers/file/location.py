"""The folders and names of a buffer's files. Rules for `path`: fluentd's plugin/buf_file.rb."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from logpipe import LogpipeError
from logpipe.durable import UNFINISHED

# fluentd's ids: 1.x has 16 bytes, 0.12 the first 8 of them; both begin with the time
_FLUENTD_NAME: Final = re.compile(r"(?:(?P<key>.*)\.)?(?P<state>[bq])(?P<id>[0-9a-f]{16}(?:[0-9a-f]{16})?)")
_OWN_NAME: Final = re.compile(r"c([0-9a-f]{32})")
# a chunk file of any buffer: the parts before and after the id
_ANY_NAME: Final = re.compile(
    r"(?:(?P<single>fsb\.).*\.|(?P<prefix>(?:.*\.)?))(?:c[0-9a-f]{32}|[bq](?:[0-9a-f]{16}){1,2})(?P<suffix>\..*)?"
)
META: Final = ".meta"
SINGLE_PREFIX: Final = "fsb."
SINGLE_SUFFIX: Final = ".buf"
"""Of file_single's chunks, whose names have the chunk key in them."""


class FluentdName(NamedTuple):
    """The parts of the name of a chunk that fluentd wrote."""

    chunk_id: str
    """32 hexadecimal digits."""
    key: str | None
    """0.12's and file_single's: the tag, the time slice or the field that is the chunk's key, percent-escaped."""
    is_staged: bool = False
    """Whether it was still staged."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with the names of the files in it that belong to one buffer: `PREFIX….SUFFIX`."""

    folder: Path
    prefix: str
    """The prefix of names, with the full stop."""
    suffix: str
    """The suffix of names, with the full stop; may be empty."""
    others_suffix: tuple[str, ...] = ()
    """Further suffixes of chunks that fluentd wrote."""

    def path_of(self, chunk_id: str) -> Path:
        """Return the file of one of our chunks. The name differs from all of fluentd's, which thus ignores it."""
        return self.folder / f"{self.prefix}c{chunk_id}{self.suffix}"

    @property
    def lock_path(self) -> Path:
        """The file that is locked while the buffer is in use."""
        return self.folder / f"{self.prefix}lock"

    def own_id(self, name: str) -> str | None:
        """Return the chunk id in a file's name, None where it is not one of ours."""
        middle = self._middle(name, self.suffix)
        found = None if middle is None else _OWN_NAME.fullmatch(middle)
        return None if found is None else found[1]

    def is_unfinished(self, name: str) -> bool:
        """Return whether a file of that name is an unfinished replacement of one of our chunks."""
        return name.endswith(UNFINISHED) and self.own_id(name.removesuffix(UNFINISHED)) is not None

    def fluentd_name(self, name: str) -> FluentdName | None:
        """Return the parts of the name of a chunk that fluentd wrote, None for other names."""
        for suffix in (self.suffix, *self.others_suffix):
            middle = self._middle(name, suffix)
            found = None if middle is None else _FLUENTD_NAME.fullmatch(middle)
            if found is not None:
                return FluentdName(found["id"].ljust(32, "0"), found["key"], found["state"] == "b")
        return None

    def _middle(self, name: str, suffix: str) -> str | None:
        if len(name) < len(self.prefix) + len(suffix):
            return None
        if not name.startswith(self.prefix) or not name.endswith(suffix):
            return None
        return name[len(self.prefix) : len(name) - len(suffix)]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a buffer writes, and where else it looks for chunks of previous runs."""

    place: Place
    former: Place | None = None
    """Where logpipe wrote when it was a single worker."""
    beside: Place | None = None
    """Where fluentd 0.12 wrote."""

    @property
    def own(self) -> tuple[Place, ...]:
        """The places that only one process may use."""
        return (self.place,) if self.former is None else (self.place, self.former)


def places_in(folder: Path) -> list[Place]:
    """Return the places of all buffers with chunk files in a folder, by the files' names.

    Raises:
        OSError: the folder cannot be read.
    """
    found: set[tuple[str, str]] = set()
    for name in os.listdir(folder):  # noqa: PTH208 - names are what is wanted
        match = None if name.endswith((META, UNFINISHED)) else _ANY_NAME.fullmatch(name)
        if match is not None:
            found.add((match["single"] or match["prefix"], match["suffix"] or ""))
    return [Place(folder, prefix, suffix) for prefix, suffix in sorted(found)]


def is_prefix(path: str) -> bool:
    """Return whether a `path` by itself names files rather than a folder, with `*` for the varying part."""
    return ".*" in path


def locate(path: str, *, suffix: str, name: str, worker: int | None, own_root: bool) -> Location:
    """Return where the files of a `<buffer>` are. Reads the disk: a `path` may be a folder or a file.

    Args:
        path: the setting, or the plugin's own folder.
        suffix: `path_suffix`.
        name: the prefix of files in a folder, `buffer`.
        worker: this worker's number where there are several, else None.
        own_root: whether `path` is the plugin's own folder, which is this worker's alone.

    Raises:
        LogpipeError: several workers would share the files.
    """
    given = Path(path)
    if given.is_dir() or not (given.exists() or is_prefix(path)):
        return _in_folder(given, suffix=suffix, name=name, worker=None if own_root else worker)
    if worker is not None:
        raise LogpipeError(
            f"buffer path {path} names files, which several workers cannot share: give the path of a folder, or set "
            "root_dir in <system> and @id"
        )
    before, star, after = given.name.rpartition("*")
    if not star or not before.endswith("."):
        # compat: buf_file.rb takes an existing file for a prefix
        before, after = f"{given.name}.", suffix
    elif not after:
        after = suffix
    place = Place(given.parent, before, after, () if after == suffix else (suffix,))
    return Location(place)


def _in_folder(folder: Path, *, suffix: str, name: str, worker: int | None) -> Location:
    prefix = f"{name}."
    # 0.12 had no folders: its files are beside it, PATH.KEY.bID.log; out_file's have no suffix
    beside = Place(folder.parent, f"{folder.name}.", suffix, ("", ".log"))
    if worker is None:
        return Location(Place(folder, prefix, suffix), beside=beside)
    place = Place(folder / f"worker{worker}", prefix, suffix)
    # compat: worker 0 takes over the chunks of a single worker
    return Location(place, Place(folder, prefix, suffix), beside) if worker == 0 else Location(place)
