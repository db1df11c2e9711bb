"""Warnings about routes: what is written and can never happen, or happens where nobody expects it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from logpipe.config.diagnostic import Diagnostic, Report, remark, warning
from logpipe.config.element import Element
from logpipe.config.options import describe

OWN_LABELS: Final = frozenset({"@ERROR", "@FLUENT_LOG"})
_OWN_TAGS: Final = "fluent.info"


def lint_routes(elements: list[Element], report: Report) -> None:
    """Report what looks like a mistake in the routes of a root's sections; nothing here keeps it from running."""
    labels = [element for element in elements if element.name == "label"]
    for group in (elements, *(label.elements for label in labels)):
        for diagnostic in _lint_order(group):
            report(diagnostic)
    for diagnostic in _lint_labels(labels, elements):
        report(diagnostic)
    if not any(label.arg == "@FLUENT_LOG" for label in labels):
        for diagnostic in _lint_own_log(elements):
            report(diagnostic)


def _lint_order(elements: list[Element]) -> Iterator[Diagnostic]:
    """Yield the matches and filters that an earlier match leaves nothing for."""
    matches: list[Element] = []
    for element in elements:
        if element.name not in {"match", "filter"}:
            continue
        shadow = next((match for match in matches if covers(match.arg, element.arg)), None)
        if shadow is not None:
            same_file = shadow.position.file == element.position.file
            place = f"line {shadow.position.line}" if same_file else str(shadow.position)
            if element.name == "match":
                message = f"{describe(element)}: no event gets here: {shadow.title} at {place} takes them all"
                yield warning("shadowed-match", message, element.position, f"move it before {place}")
            else:
                message = f"{describe(element)}: this filter never runs: {shadow.title} at {place} comes first"
                yield warning("late-filter", message, element.position, f"move it before {place}")
        if element.name == "match":
            matches.append(element)


def covers(earlier: str, later: str) -> bool:
    """Return whether every tag that `later` matches is surely matched by `earlier`; false where it is not plain."""
    first, second = earlier.split() or ["**"], later.split() or ["**"]
    return all(any(_covers_one(one, other) for one in first) for other in second)


def _covers_one(earlier: str, later: str) -> bool:
    if earlier in {"**", later}:
        return True
    if earlier.startswith("/") or later.startswith("/") or not earlier.endswith(".**"):
        return False
    prefix = earlier[: -len(".**")]
    plain = not any(char in prefix for char in "*{\\")
    return plain and (later == prefix or later.startswith(f"{prefix}."))


def _lint_labels(labels: Iterable[Element], elements: list[Element]) -> Iterator[Diagnostic]:
    """Yield the labels that nothing sends events to."""
    used = set(_label_names(elements))
    for label in labels:
        if label.arg and label.arg not in used | OWN_LABELS:
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
