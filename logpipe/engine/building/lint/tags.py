"""Patterns that no tag matches: a misspelt `<match>` never gets an event, and nothing else would say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from logpipe.config.declare import describe
from logpipe.config.diagnostic import Report, did_you_mean, warning
from logpipe.config.element import Element
from logpipe.engine.building.lint.lookup import PatternIndex, input_class, output_class, stores
from logpipe.expression.time_limit import TimeLimitExceeded
from logpipe.registry import Registry
from logpipe.tag_pattern import InvalidPatternError, compile_pattern

MOST_SHOWN: Final = 5
MOST_GUESSED: Final = 100
"""Patterns for which the tag that was meant is looked for."""
MOST_COMPARISONS: Final = 1_000_000
"""Of tags with patterns that may match them: past it nothing is said."""

_OWN_TAGS: Final = tuple(f"fluent.{level}" for level in ("trace", "debug", "info", "warn", "error", "fatal"))


def lint_tags(elements: list[Element], registry: Registry, report: Report) -> None:
    """Report the top-level patterns that match no tag, where every tag that can come is known."""
    tags = _tags(elements, registry)
    if not tags or not all(_keeps_tags(output, registry) for output in _outputs(elements)):
        return
    known = list(dict.fromkeys(tags))
    hints = f"the tags are {_listed(known)}"
    for number, element in enumerate(_without_tag(elements, (*known, *_OWN_TAGS))):
        message = f"{describe(element)}: no <source> gives events a tag that it matches"
        near = did_you_mean(element.arg, known) if number < MOST_GUESSED else ""
        report(warning("unmatched-pattern", message, element.arg_position, near or hints))


def _without_tag(elements: Iterable[Element], tags: Iterable[str]) -> Iterable[Element]:
    """Return the matches and filters that match none of the tags; none after more comparisons than are worth it."""
    rules = [element for element in elements if element.name in {"match", "filter"}]
    index: PatternIndex[int] = PatternIndex()
    for number, element in enumerate(rules):
        index.add(element.arg, number)
    compiled: dict[int, Callable[[str], bool]] = {}
    left = dict(enumerate(rules))
    comparisons = 0
    for tag in tags:
        for number in index.candidates(tag):
            comparisons += 1
            if number in left:
                matches = compiled[number] = compiled.get(number) or _matcher(left[number].arg)
                if _may_match(matches, tag):
                    del left[number]
        if comparisons > MOST_COMPARISONS:
            return ()
    return left.values()


def _tags(elements: list[Element], registry: Registry) -> list[str]:
    """Return every tag that comes to what stands outside labels; none where a source may give others."""
    tags = []
    all_come = _comes_back(elements)
    for element in elements:
        if element.name != "source" or not (all_come or element.get("@label") in {None, "@ROOT"}):
            continue
        tag = element.get("tag")
        cls = input_class(element, registry)
        if cls is None or not cls.keeps_tag or not tag or "*" in tag or "${" in tag:
            return []
        tags.append(tag)
    return tags


def _comes_back(elements: Iterable[Element]) -> bool:
    """Return whether an output sends events from a label to the root: they have any source's tag."""
    return any(
        param.value == "@ROOT"
        for element in elements
        if element.name != "source"
        for name, param in element.params.items()
        if name.endswith("label")
    ) or any(_comes_back(element.elements) for element in elements)


def _listed(tags: list[str]) -> str:
    more = f" and {len(tags) - MOST_SHOWN} more" if len(tags) > MOST_SHOWN else ""
    return f"{', '.join(tags[:MOST_SHOWN])}{more}"


def _outputs(elements: Iterable[Element]) -> Iterator[Element]:
    for element in elements:
        if element.name == "match":
            yield element
        elif element.name == "label":
            yield from _outputs(element.elements)


def _keeps_tags(output: Element, registry: Registry) -> bool:
    """Return whether no new tag comes from an output, its stores or its `<secondary>`."""
    cls = output_class(output, registry)
    if cls is None or not cls.keeps_tag:
        return False
    nested = (*stores(output, cls), *(element for element in output.sections("secondary") if element.type))
    return all(_keeps_tags(element, registry) for element in nested)


def _may_match(matches: Callable[[str], bool], tag: str) -> bool:
    try:
        return matches(tag)
    except TimeLimitExceeded:  # said when such a tag comes
        return True


def _matcher(pattern: str) -> Callable[[str], bool]:
    try:
        return compile_pattern(pattern)
    except InvalidPatternError:
        return lambda _tag: True  # it is reported as what it is
