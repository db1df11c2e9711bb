"""Puts several looks at paths together: files are renamed while they are looked for, and one look misses some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from logpipe.builtin.in_tail.decide import Place
from logpipe.builtin.in_tail.folders import Found, close
from logpipe.builtin.in_tail.logfile import Identity


class SeveralLooks:
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
        now = [place.now] if place.now is not None else []
        self._led_to.update(each.identity for each in now)
        self._earlier[place.path], twice = _merged(self._earlier.get(place.path, ()), [*place.before, *now])
        close(twice)

    def result(self, *, still: bool) -> list[Place]:
        """Return the last looks, with all that any look has found; if everything stood `still`, only what is certain.

        That is what a path led to in an earlier look, and was not empty: it may have been deleted since.
        """
        for path, earlier in list(self._earlier.items()):
            place = self._last[path]
            if still:
                known = self._led_to - {each.identity for each in place.files}
                lost = [each for each in earlier if each.identity in known and each.size]
                close(each for each in earlier if each not in lost)
                before = [*place.before]
                for each in lost:
                    younger = (number for number, other in enumerate(before) if _written(other) > _written(each))
                    before.insert(next(younger, len(before)), each)
            else:
                self._keep(place)
                if self._is_past(place.now, self._earlier[path]):
                    place = place._replace(now=None)  # the next look finds what came after all of them
                before = [each for each in self._earlier[path] if each is not place.now and each.file is not None]
            self._last[path] = place._replace(before=tuple(before))
        return list(self._last.values())

    def _is_past(self, now: Found | None, found: Iterable[Found]) -> bool:
        """Return whether a path leads to a file no more: one that came to it later was found meanwhile."""
        later = (each for each in found if each.exact and each.identity not in self._led_to)
        return now is not None and now.file is not None and any(each.born > now.born > 0 for each in later)


def _written(found: Found) -> tuple[int, int]:
    return found.modified, found.born


def _merged(known: Sequence[Found], later: Iterable[Found]) -> tuple[list[Found], list[Found]]:
    """Return what several looks have found, each file once and oldest first, and what was found twice.

    Of those the later one counts. One look misses some, as files are on their way while it is made: what it found
    keeps its place among what was known, for times alone may be the same.
    """
    merged = list(known)
    twice: list[Found] = []
    place = 0
    for each in later:
        number = next((number for number, other in enumerate(merged) if other.identity == each.identity), None)
        if number is None:
            merged.insert(place, each)
            place += 1
        elif number < place:
            twice.append(each)
        else:
            twice.append(merged[number])
            merged[number] = each
            place = number + 1
    return sorted(merged, key=_written), twice
