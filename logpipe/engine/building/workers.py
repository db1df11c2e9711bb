"""`<worker N>` and `<worker N-M>`: which sections are whose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from logpipe.config.diagnostic import Diagnostic, Report, error, warning
from logpipe.config.element import Element

ALLOWED: Final = ("source", "filter", "match", "label")

_LEADING_DIGITS: Final = re.compile(r"\s*(\d+)")
_NUMBERS: Final = re.compile(r"\s*\d+\s*(-\s*\d+\s*)?")


def sections_of(root: Element, worker_id: int) -> Iterator[Element]:
    """Yield the root's sections; what stands in a `<worker>` of this worker comes after all others, as in fluentd."""
    yield from (element for element in root.elements if element.name != "worker")
    for element in root.sections("worker"):
        if worker_id in worker_ids(element):
            yield from element.elements


def worker_ids(section: Element) -> range:
    """Return the workers that a `<worker>` section is for; none where its argument is missing."""
    if not section.arg:
        return range(0)
    first, hyphen, last = section.arg.partition("-")
    return range(_number(first), _number(last if hyphen else first) + 1)


def is_shared(element: Element, root: Element, workers: int) -> bool:
    """Return whether several workers run a section: it does not stand in the `<worker>` of one alone."""
    alone = (section for section in root.sections("worker") if len(worker_ids(section)) == 1)
    return workers > 1 and not any(_holds(section, element) for section in alone)


def _holds(section: Element, element: Element) -> bool:
    return any(each is element or _holds(each, element) for each in section.elements)


def first_workers(root: Element) -> list[int]:
    """Return workers that have every `<worker>` section between them, and worker 0."""
    return sorted({0, *(worker_ids(section)[0] for section in root.sections("worker") if worker_ids(section))})


def _number(text: str) -> int:
    # compat: root_agent.rb takes what is no number for 0
    found = _LEADING_DIGITS.match(text)
    return int(found[1]) if found else 0


def report_workers(root: Element, workers: int, report: Report) -> None:
    """Report the `<worker>` sections that are for nobody, for two owners, or hold what cannot stand there."""
    taken: dict[int, Element] = {}
    for section in root.sections("worker"):
        for diagnostic in _problems(section, workers, taken):
            report(diagnostic)


def _problems(section: Element, workers: int, taken: dict[int, Element]) -> Iterator[Diagnostic]:
    yield from _number_problems(section, workers)
    if "-" in section.arg:
        # compat: root_agent.rb looks for a second owner in ranges only
        owners = (taken.setdefault(number, section) for number in worker_ids(section)[:workers])
        other = next((owner for owner in owners if owner is not section), None)
        if other is not None:
            message = f"{section.title}: {other.title} at {other.position} is for the same worker"
            yield error("invalid-worker", message, section.arg_position, "give each range workers of its own")
    for element in section.elements:
        if element.name not in ALLOWED:
            message = f"{section.title}: {element.title} cannot stand in a <worker> section"
            yield error("invalid-worker", message, element.position, "move it out of the section")


def _number_problems(section: Element, workers: int) -> Iterator[Diagnostic]:
    ids, place = worker_ids(section), section.arg_position
    if not section.arg:
        yield error(
            "invalid-worker", "<worker>: a worker's number is missing", place, "write <worker 0> or <worker 0-3>"
        )
    elif not ids:
        message = f"{section.title}: the first worker is greater than the last"
        yield error("invalid-worker", message, place, "write <worker SMALLER-GREATER>")
    elif ids[-1] >= workers:
        there = "there is one worker, number 0" if workers == 1 else f"there are {workers} workers, 0 to {workers - 1}"
        hint = f"write workers {ids[-1] + 1} in <system>"
        yield error("invalid-worker", f"{section.title}: {there}", place, hint)
    elif not _NUMBERS.fullmatch(section.arg):
        message = f"{section.title}: {section.arg!r} is no worker's number and is taken for {ids[0]}"
        yield warning("doubtful-worker", message, place, "write <worker 0> or <worker 0-3>")
