"""Routes that lead back to where they began: nobody would get those events, and each would go round for ever.

Tags are followed as events would be: from every source whose tag is known, and, where one is not, from a tag made up
for each `<match>` that lies on the way back. A circle is an error where every event that comes there goes round, and a
warning where a filter, a second rule or a tag that never comes may end it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final, NamedTuple

from logpipe.config.declare import describe
from logpipe.config.diagnostic import Diagnostic, Report, error, warning
from logpipe.config.element import Element
from logpipe.engine.building.lint.lookup import PatternIndex, input_class, output_class, stores
from logpipe.expression.time_limit import TimeLimitExceeded
from logpipe.plugin import FilterBase, Way
from logpipe.registry import Registry
from logpipe.tag_pattern import InvalidPatternError, compile_pattern

ROOT: Final = "@ROOT"
MOST_COMPARISONS: Final = 500_000
"""Of tags with patterns, while tags are followed; what is not found by then is found when events go there."""
ROUNDS: Final = 3
"""How often a rule that makes tags longer is met before it counts as endless."""
ANY_FILE: Final = "var.log.any.log"
ANY_PART: Final = "any"


@dataclass(frozen=True, slots=True)
class Place:
    """A `<filter>` or `<match>` of the root or of a label."""

    router: str
    element: Element
    matches: Callable[[str], bool]
    ways: tuple[Way, ...] = ()
    """Their labels are never empty here."""


class Start(NamedTuple):
    """Where an event comes in, and under which tag."""

    router: str
    tag: str
    is_real: bool = True
    """Whether such events come for sure; else those of any tag must go round to be an error."""
    is_own: bool = False
    """Whether they are our own log's, for which no rule is written."""


class Step(NamedTuple):
    """An event with a tag at the match that takes it, or the filter that lets go of it, and the way on."""

    place: Place
    tag: str
    way: Way
    is_filtered: bool
    """Whether it has come to a filter: that may change or drop it."""
    new_tag: str
    """The tag that it is sent on with."""


def lint_circles(elements: list[Element], registry: Registry, report: Report) -> None:
    """Report the circles that the sections of a worker show."""
    groups = {ROOT: elements}
    groups |= {element.arg: element.elements for element in elements if element.name == "label" and element.arg}
    places = {name: list(_places(name, group, registry)) for name, group in groups.items()}
    edges = {
        name: {way.label for place in found for way in place.ways} & groups.keys() for name, found in places.items()
    }
    if not (core := _core(edges)):
        return
    sources = [element for element in elements if element.name == "source"]
    tags = [(source.get("@label") or ROOT, _tag(source, registry)) for source in sources]
    for circle in _Routes(places, edges, core).circles(tags):
        report(circle)


class _Routes:
    """Every router's rules, and the routers that events can come back to."""

    def __init__(self, places: dict[str, list[Place]], edges: dict[str, set[str]], core: list[str]) -> None:
        self._edges = edges
        self._core = core
        self._places = places
        self._indexes = {name: _index(found) for name, found in places.items()}
        self._comparisons = 0
        self._seen: set[tuple[str, str]] = set()
        self._said: set[frozenset[int]] = set()

    def circles(self, sources: list[tuple[str, str | None]]) -> Iterator[Diagnostic]:
        """Yield a diagnostic for each circle that events of these routers and tags, None for any, get into."""
        yield from self._follow_known(sources)
        if sources and all(tag is not None for _, tag in sources):
            return
        reached = _reached(self._edges, [router for router, _ in sources] or [ROOT])
        for name in self._core:
            for place in self._places[name]:
                if place.ways and (tag := _example(place.element.arg)) is not None and name in reached:
                    yield from self._follow(Start(name, tag, is_real=False))

    def _follow_known(self, sources: list[tuple[str, str | None]]) -> Iterator[Diagnostic]:
        known = [(router, tag) for router, tag in sources if tag is not None]
        for router, tag in known:
            yield from self._follow(Start(router, tag))
        for _, tag in known:
            yield from self._follow(Start("@ERROR", tag))
        own = "@FLUENT_LOG" if "@FLUENT_LOG" in self._places else ROOT
        yield from self._follow(Start(own, "fluent.info", is_own=True))

    def _follow(self, start: Start) -> Iterator[Diagnostic]:
        """Yield the circles that an event gets into."""
        path: list[Step] = []
        on_path: dict[tuple[str, str], int] = {}
        left: list[Iterator[Step]] = [self._steps(start.router, start.tag)]
        while left:
            step = next(left[-1], None)
            if step is None:
                left.pop()
                if path:
                    _leave(path, on_path)
                continue
            on_path[step.place.router, step.tag] = len(path)
            path.append(step)
            begins = on_path.get((step.way.label, step.new_tag))
            circle = _growing(path) if begins is None else path[begins:]
            if not circle:
                left.append(self._steps(step.way.label, step.new_tag))
                continue
            if (diagnostic := self._diagnostic(circle, start)) is not None:
                yield diagnostic
            _leave(path, on_path)

    def _steps(self, router: str, tag: str) -> Iterator[Step]:
        """Return what becomes of an event in a router; nothing where that was looked at before."""
        if (router, tag) in self._seen or router not in self._places:
            return iter(())
        self._seen.add((router, tag))
        try:
            return iter([*self._taken(router, tag)])
        except TimeLimitExceeded:  # said when such a tag comes
            return iter(())

    def _taken(self, router: str, tag: str) -> Iterator[Step]:
        """Yield the ways of the match that takes a tag, and those on which filters before it let some events go."""
        is_filtered = False
        for place in self._indexes[router].candidates(tag):
            self._comparisons += 1
            if self._comparisons > MOST_COMPARISONS:
                return
            is_match = place.element.name == "match"
            if (not is_match and is_filtered and not place.ways) or not place.matches(tag):
                continue
            is_filtered = is_filtered or not is_match
            for way in place.ways:
                new_tag = tag if way.retag is None else way.retag(tag)
                if new_tag is not None:
                    yield Step(place, tag, way, is_filtered, new_tag)
            if is_match:
                return

    def _diagnostic(self, circle: list[Step], start: Start) -> Diagnostic | None:
        key = frozenset(id(step.place) for step in circle)
        if key in self._said:
            return None
        self._said.add(key)
        retags = {step.way.condition for step in circle if step.way.retag is not None}
        is_certain = (
            (start.is_real or all(_takes_all(step.place) for step in circle))
            and len(retags) <= (0 if start.is_own else 1)
            and not any(step.is_filtered or step.way.may_drop for step in circle)
        )
        first = circle[0]
        names = " to ".join([*(step.place.router for step in circle), circle[-1].way.label])
        verb = "events go round for ever" if is_certain else "events may go round for ever"
        if retags:
            changed = next(step for step in circle if step.way.retag is not None)
            becomes = f"tag {_short(changed.tag)} becomes {_short(changed.new_tag)}"
            message = f"{describe(first.place.element)}: {verb}: {becomes}"
            message = f"{message}, and they come back here"
            hint = "give them a tag that another <match> before this one takes, or send them to a label"
        else:
            message = f"{describe(first.place.element)}: {verb}: from {names}"
            hint = "send them to an output"
        if is_certain:
            return error("routing-circle", message, first.place.element.position, hint)
        return warning("routing-circle", message, first.place.element.position, hint)


def _leave(path: list[Step], on_path: dict[tuple[str, str], int]) -> None:
    step = path.pop()
    on_path.pop((step.place.router, step.tag), None)


def _growing(path: list[Step]) -> list[Step]:
    """Return the steps of one round, where the last rule has made a tag longer again and again; none elsewhere."""
    last = path[-1]
    if last.way.retag is None:
        return []
    same = (
        number
        for number in reversed(range(len(path)))
        if path[number].place is last.place and path[number].way is last.way
    )
    rounds = [*islice(same, ROUNDS + 1)][::-1]
    lengths = [len(path[number].tag) for number in rounds]
    if len(rounds) > ROUNDS and all(shorter < longer for shorter, longer in pairwise(lengths)):
        return path[rounds[0] : rounds[1]]
    return []


def _tag(source: Element, registry: Registry) -> str | None:
    """Return the tag of a source's events, as far as it matters; None where nobody can tell."""
    tag, cls = source.get("tag"), input_class(source, registry)
    return tag.replace("*", ANY_FILE) if tag and cls is not None and cls.keeps_tag and "${" not in tag else None


def _core(edges: dict[str, set[str]]) -> list[str]:
    """Return the nodes that are left when those without a way on are taken away, again and again."""
    before: dict[str, list[str]] = {name: [] for name in edges}
    for name, targets in edges.items():
        for target in targets:
            before[target].append(name)
    ways_on = {name: len(targets) for name, targets in edges.items()}
    ends = [name for name, count in ways_on.items() if not count]
    while ends:
        for name in before[ends.pop()]:
            ways_on[name] -= 1
            if not ways_on[name]:
                ends.append(name)
    return [name for name, count in ways_on.items() if count]


def _reached(edges: dict[str, set[str]], starts: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    waiting = [name for name in (*starts, "@ERROR", "@FLUENT_LOG") if name in edges]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += edges[name]
    return reached


def _places(router: str, group: Iterable[Element], registry: Registry) -> Iterator[Place]:
    for element in group:
        if element.name not in {"filter", "match"}:
            continue
        try:
            matches = compile_pattern(element.arg)
        except InvalidPatternError:
            continue  # it is reported as what it is
        ways = _ways if element.name == "match" else _ways_of_filter
        yield Place(router, element, matches, tuple(ways(element, router, registry)))


def _index(places: Iterable[Place]) -> PatternIndex[Place]:
    index: PatternIndex[Place] = PatternIndex()
    for place in places:
        index.add(place.element.arg, place)
    return index


def _ways_of_filter(element: Element, router: str, registry: Registry) -> Iterator[Way]:
    """Yield where a filter sends events that it lets go of, but behind itself."""
    cls = registry.get("filter", element.type)
    if cls is not None and issubclass(cls, FilterBase):
        yield from (way if way.label else way._replace(label=router) for way in cls.ways(element))


def _ways(element: Element, router: str, registry: Registry) -> Iterator[Way]:
    """Yield where an output and the stores in it send events."""
    cls = output_class(element, registry)
    if cls is None:
        return
    label = element.get("@label") or router
    for way in cls.ways(element):
        yield way if way.label else way._replace(label=label)
    for store in stores(element, cls):
        yield from _ways(store, router, registry)


def _takes_all(place: Place) -> bool:
    return "**" in (place.element.arg.split() or ["**"])


def _example(pattern: str) -> str | None:
    """Return a tag that a pattern matches; None where that is not plain."""
    first = (pattern.split() or ["**"])[0]
    if first.startswith("/"):
        return None
    tag = re.sub(r"\{([^,}]*)[^}]*\}", r"\1", first).replace("**", ANY_PART).replace("*", ANY_PART)
    try:
        return tag if compile_pattern(pattern)(tag) else None
    except InvalidPatternError:
        return None


def _short(tag: str) -> str:
    return repr(tag if len(tag) <= 60 else f"{tag[:60]}…")
