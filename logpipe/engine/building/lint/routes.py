"""Warnings about routes: what is written and can never happen, or happens where nobody expects it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from logpipe.config.declare import describe
from logpipe.config.diagnostic import Diagnostic, Report, remark, warning
from logpipe.config.element import Element
from logpipe.engine.building.lint.lookup import parts_of

OWN_LABELS: Final = frozenset({"@ERROR", "@FLUENT_LOG"})
_OWN_TAGS: Final = "fluent.info"


def lint_routes(elements: list[Element], report: Report) -> None:
    """Report what looks like a mistake in the routes of a root's sections; nothing here keeps it from running."""
    labels = [element for element in elements if element.name == "label"]
    found = [*map(_lint_order, (elements, *(label.elements for label in labels))), _lint_labels(labels, elements)]
    if not any(label.arg == "@FLUENT_LOG" for label in labels):
        found.append(_lint_own_log(elements))
    for diagnostic in chain.from_iterable(found):
        report(diagnostic)


def _lint_order(elements: list[Element]) -> Iterator[Diagnostic]:
    """Yield the matches and filters that an earlier match leaves nothing for."""
    earlier = _Earlier()
    for element in elements:
        if element.name not in {"match", "filter"}:
            continue
        shadow = earlier.that_covers(element.arg)
        if shadow is not None:
            same_file = shadow.position.file == element.position.file
            place = f"line {shadow.position.line}" if same_file else str(shadow.position)
            if element.name == "match":
                message = f"{describe(element)}: no event gets here: {shadow.title} at {place} takes them all"
                yield warning("shadowed-match", message, element.position, f"move it before {place}")
            else:
                message = f"{describe(element)}: this filter never runs: {shadow.title} at {place} comes first"
                yield warning("late-filter", message, element.position, f"move it before {place}")
        elif element.name == "match":  # what one that is shadowed would cover is covered already
            earlier.add(element)


class _Earlier:
    """The matches so far, by their patterns: each section is compared with those alone that may cover it."""

    def __init__(self) -> None:
        self._matches: list[Element] = []
        self._by_pattern: dict[str, dict[int, None]] = {}
        """Numbers of matches, by a pattern as it is written."""
        self._by_prefix: dict[str, dict[int, None]] = {}
        """Numbers of matches, by what stands before `.**` where that is plain."""

    def add(self, match: Element) -> None:
        """Append a match."""
        number = len(self._matches)
        self._matches.append(match)
        for pattern in _patterns(match.arg):
            self._by_pattern.setdefault(pattern, {})[number] = None
            if (prefix := _plain_prefix(pattern)) is not None:
                self._by_prefix.setdefault(prefix, {})[number] = None

    def that_covers(self, argument: str) -> Element | None:
        """Return the first match that surely takes every tag which `argument` matches; None where none is plain."""
        groups = [self._groups(pattern) for pattern in dict.fromkeys(_patterns(argument))]
        fewest, *others = sorted(groups, key=lambda group: sum(map(len, group)))
        if not others:
            first = min((next(iter(numbers)) for numbers in fewest if numbers), default=None)
        else:
            all_cover = (
                number
                for number in chain.from_iterable(fewest)
                if all(any(number in numbers for numbers in group) for group in others)
            )
            first = min(all_cover, default=None)
        return None if first is None else self._matches[first]

    def _groups(self, pattern: str) -> list[dict[int, None]]:
        """Return the numbers of the matches that cover one pattern."""
        found = [self._by_pattern.get(name, {}) for name in dict.fromkeys(("**", pattern))]
        if not pattern.startswith("/"):
            found += [self._by_prefix.get(part, {}) for part in parts_of(pattern)]
        return found


def covers(earlier: str, later: str) -> bool:
    """Return whether every tag that `later` matches is surely matched by `earlier`; false where it is not plain."""
    matches = _Earlier()
    matches.add(Element("match", earlier))
    return matches.that_covers(later) is not None


def _patterns(argument: str) -> list[str]:
    return argument.split() or ["**"]


def _plain_prefix(pattern: str) -> str | None:
    prefix = pattern.removesuffix(".**")
    return None if prefix == pattern or any(char in prefix for char in "*{\\/") else prefix


def _lint_labels(labels: Iterable[Element], elements: list[Element]) -> Iterator[Diagnostic]:
    """Yield the labels that nothing sends events to."""
    used = {*_label_names(elements), *OWN_LABELS}
    for label in labels:
        if label.arg and label.arg not in used:
            message = f"{label.title}: no event gets here: no @label names it"
            yield warning("unreached-label", message, label.position, f"add: @label {label.arg} to a <source>")


def _label_names(elements: Iterable[Element]) -> Iterator[str]:
    for element in elements:
        for name, param in element.params.items():
            if name.endswith("label") and isinstance(param.value, str):
                yield param.value
        yield from _label_names(element.elements)


def _lint_own_log(elements: list[Element]) -> Iterator[Diagnostic]:
    """Yield the top-level match that takes logpipe's own messages along."""
    for element in elements:
        if element.name == "match" and covers(element.arg, _OWN_TAGS):
            if element.arg in {"**", ""}:
                message = f"{describe(element)}: it takes logpipe's own log events (fluent.*) too"
                hint = "define <label @FLUENT_LOG> to keep them apart"
                yield remark("own-log-events", message, element.position, hint)
            return
