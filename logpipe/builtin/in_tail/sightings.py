"""What several looks at the same paths have found, while their files were still on their way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from logpipe.builtin.in_tail.difference import Found, Place
from logpipe.builtin.in_tail.logfile import Identity
from logpipe.builtin.in_tail.look import close


class Sightings:
    """The last look at each path, and what looks before it have found: files are renamed while they are looked for."""

    def __init__(self) -> None:
        self._last: dict[str, Place] = {}
        self._earlier: dict[str, list[Found]] = {}
        self._led_to: set[Identity] = set()
        """Files that paths led to in earlier looks."""

    def add(self, places: Iterable[Place]) -> None:
        """Take in a later look at some paths."""
        for place in places:
            if place.path in self._last:
                self._keep(self._last[place.path])
                close(each.found for each in self._last[place.path].new)
            self._last[place.path] = place

    @property
    def held(self) -> int:
        """How many files are open."""
        files = (each for place in self._last.values() for each in place.files)
        earlier = (each for found in self._earlier.values() for each in found)
        return sum(each.file is not None and not each.file.closed for each in (*files, *earlier))

    def _keep(self, place: Place) -> None:
        self._led_to.update([place.now.identity] if place.now is not None else [])
        found = [*place.before, *([place.now] if place.now is not None else [])]
        self._earlier[place.path], twice = _merged(self._earlier.get(place.path, ()), found)
        close(twice)

    def result(self, *, still: bool) -> list[Place]:
        """Return the last looks, with all that any look has found; if everything stood `still`, only what is certain.

        That is what a path led to in an earlier look, and was not empty: it may have been deleted since.
        """
        for path, earlier in list(self._earlier.items()):
            place = self._last[path]
            if still:
                last = {each.identity for each in place.files}
                there = [each for each in earlier if each.identity in self._led_to and each.identity not in last]
                lost = [each for each in there if each.size]
                close(each for each in earlier if each not in lost)
                before = [*place.before]
                for each in lost:
                    younger = (number for number, other in enumerate(before) if _age(other) > _age(each))
                    before.insert(next(younger, len(before)), each)
            else:
                self._keep(place)
                before = [each for each in self._earlier[path] if each is not place.now and each.file is not None]
            self._last[path] = place._replace(before=tuple(before))
        return list(self._last.values())


def _age(found: Found) -> tuple[int, int]:
    return found.modified, found.born


def _merged(known: Sequence[Found], later: Iterable[Found]) -> tuple[list[Found], list[Found]]:
    """Return what several looks have found, each file once and oldest first, and what was found twice.

    Of those the later one counts; files may have been on their way while one looked, so that one look misses some.
    """
    index = {each.identity: number for number, each in enumerate(known)}
    order: list[Found] = []
    twice: list[Found] = []
    start = 0
    for each in later:
        number = index.get(each.identity)
        if number is None:
            order.append(each)
        elif number < start:
            twice.append(each)
        else:
            order += (*known[start:number], each)
            twice.append(known[number])
            start = number + 1
    return sorted([*order, *known[start:]], key=_age), twice
