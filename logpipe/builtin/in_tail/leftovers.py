"""Saved positions whose paths are not followed: files out of sight, which may come back or have something to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from logpipe import Host
from logpipe.builtin.in_tail.difference import Found, Hops
from logpipe.builtin.in_tail.following import Following
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.look import Looker, Survey, close, hops_of, look_all
from logpipe.builtin.in_tail.trail import Trail, tag_of
from logpipe.builtin.position_file import Position


class Leftover(NamedTuple):
    """A row, and the file that it was found to be of."""

    row: Position
    found: Found | None
    hops: Hops


async def read_leftovers(following: Following, host: Host, tag: str) -> None:
    """Read to their ends the files of rows whose paths are not followed; rows without anything to read are kept."""
    async with following.changing:
        followed = following.table.by_path
        rows = [row for row in following.looks.saved.unclaimed() if row.path not in followed]
        left = await host.in_thread(_find, following.looker, rows) if rows else []
        for row, found, hops in left:
            following.looks.leads[following.end_of(hops)] = row.path
            if found is None:
                continue
            if found.size <= row.offset or following.table.find(found) is not None:
                close([found])
                continue
            trail = followed.get(row.path) or Trail(row.path, tag_of(tag, row.path))
            following.looks.saved.claim([row])
            generation = following.registry.read_before(trail, found, row.offset)
            generation.kept = found.path == "".join(hops[-1])
            following.follow_leftover(trail, hops)


def _find(looker: Looker, rows: Iterable[Position]) -> list[Leftover]:
    """Open the files that rows were written for, where they are under their path or another name in its folder."""
    surveys: dict[str, Survey] = {}
    ends = ((row, hops_of(row.path)) for row in rows)
    return [Leftover(row, looker.file_of(row, hops[-1], surveys, ()), hops) for row, hops in ends]


async def expire(following: Following, host: Host, *, compact: bool) -> bool:
    """Drop the rows of files that are gone for good; returns whether any was, or went missing."""
    async with following.changing:
        paths = list({row.path for row in following.looks.saved.unclaimed()})
        if not paths:
            return False
        statuses = await host.in_thread(look_all, paths)
        inodes = {
            path: None if status is None else Identity.of(status).inode
            for path, status in zip(paths, statuses, strict=True)
            if status is None or path in following.table.by_path or not following.wants(path)
        }  # what has just come is about to be followed, and its rows say where
        return following.looks.saved.expire(inodes, host.clock.now() / 1_000_000_000, compact=compact)
