"""Every followed path, and every file of theirs by identity: a file is in it once, however many paths lead to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from logpipe.builtin.in_tail.difference import Found
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import Identity, LogFile
from logpipe.builtin.in_tail.trail import Trail


class Table:
    """Puts generations to their paths, and takes them from there; no I/O."""

    def __init__(self, settled: Callable[[Trail], None]) -> None:
        """Call `settled` with a path whose rows of the position file have changed."""
        self.by_path: dict[str, Trail] = {}
        self.replaced: dict[Generation, Trail] = {}
        """Generations that were rotated away and may still have something to read."""
        self.owners: dict[tuple[Identity, int], tuple[Trail, Generation]] = {}
        """By identity and birth."""
        self._settled = settled

    def generations(self) -> Iterator[Generation]:
        """Yield every generation."""
        return (each for trail in self.by_path.values() for each in trail.generations)

    def owed(self) -> Iterator[tuple[int, int]]:
        """Yield inode and birth of the files that are followed, or not delivered to their end."""
        for each in self.generations():
            if not (each.finished and each.settlement.complete):
                yield each.identity.inode, each.born

    def live(self, path: str) -> Generation | None:
        """Return the generation that a path leads to."""
        trail = self.by_path.get(path)
        return None if trail is None else trail.live

    def has(self, identity: Identity, born: int) -> bool:
        """Return whether a file that was not opened is known, as far as that tells."""
        known = self.owners.get((identity, born))
        return known is not None and not known[1].gone

    def find(self, found: Found) -> tuple[Trail, Generation] | None:
        """Return whose a file is, and its generation; one with the inode of a file that is gone has none."""
        known = self.owners.get((found.identity, found.born))
        return known if known is not None and known[1].is_of(found) else None

    def add(self, trail: Trail, found: Found, offset: int) -> Generation:
        """Return a new generation of a path, which is its newest."""
        generation = self._make(trail, found, offset)
        trail.generations.append(generation)
        return generation

    def add_before(
        self, trail: Trail, found: Found, offset: int, other: Generation | None, *, now: float
    ) -> Generation:
        """Return a new generation that was replaced, right before another one, or the live one if None."""
        generation = self._make(trail, found, offset)
        generation.replaced_at = now
        other = other or trail.live
        place = len(trail.generations) if other is None else trail.generations.index(other)
        trail.generations.insert(place, generation)
        self.replaced[generation] = trail
        return generation

    def _make(self, trail: Trail, found: Found, offset: int) -> Generation:
        self.by_path[trail.path] = trail
        generation = Generation(
            found.identity,
            found.path,
            offset=offset,
            moved=partial(self._settled, trail),
            born=found.born,
            size=found.size,
            modified=found.modified,
            head=found.head,
            form=LogFile if found.file is None else type(found.file),
        )
        self.owners[found.identity, found.born] = (trail, generation)
        return generation

    def set_aside(self, trail: Trail, live: Generation, *, now: float) -> None:
        """Note that a path leads to its live generation no more."""
        live.replaced_at = now
        live.stirred = True
        self.replaced[live] = trail

    def take_over(self, trail: Trail, owner: Trail, generation: Generation, path: str) -> None:
        """Make a generation what a path leads to now."""
        owner.generations.remove(generation)
        owner.moved()
        self.replaced.pop(generation, None)
        generation.settlement.moved = partial(self._settled, trail)
        generation.inode_path = path
        generation.replaced_at = None
        generation.closing = False
        generation.finished = False
        generation.stirred = True
        trail.generations.append(generation)
        self.owners[generation.identity, generation.born] = (trail, generation)
        self.by_path[trail.path] = trail

    def finish(self, generation: Generation) -> None:
        """Note that nothing more is read of a generation; it stays until its receipts have settled."""
        generation.finished = True
        generation.stirred = False
        self.replaced.pop(generation, None)

    def remove(self, trail: Trail, generation: Generation) -> None:
        """Take a generation out whose file goes on as another one."""
        trail.generations.remove(generation)
        self.disown([generation])

    def disown(self, generations: Iterable[Generation]) -> None:
        """Let the inodes of generations that were taken from their path be other files'."""
        for generation in generations:
            self.replaced.pop(generation, None)
            if (owner := self.owners.get((generation.identity, generation.born))) is not None and owner[
                1
            ] is generation:
                del self.owners[generation.identity, generation.born]
