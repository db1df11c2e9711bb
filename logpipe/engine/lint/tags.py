"""Patterns that no tag matches: a misspelt `<match>` never gets an event, and nothing else would say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from logpipe.config.diagnostic import Report, warning
from logpipe.config.element import Element
from logpipe.config.options import describe, did_you_mean
from logpipe.engine.tag_pattern import InvalidPatternError, compile_pattern

PLAIN_SOURCES: Final = frozenset({"tail", "sample", "dummy", "tcp", "udp"})
"""Inputs whose events have the tag that is written, and no other."""
ENDS: Final = frozenset(
    {
        "copy",
        "elasticsearch",
        "elasticsearch_dynamic",
        "file",
        "forward",
        "gelf",
        "http",
        "kafka",
        "kafka2",
        "kafka_buffered",
        "loki",
        "mongo",
        "null",
        "opensearch",
        "rdkafka",
        "rdkafka2",
        "relabel",
        "roundrobin",
        "s3",
        "secondary_file",
        "splunk_hec",
        "stdout",
    }
)
"""Outputs that do not send events into the root again, or only under the tag they had."""
MOST_SHOWN: Final = 5

_OWN_TAGS: Final = tuple(f"fluent.{level}" for level in ("trace", "debug", "info", "warn", "error", "fatal"))


def lint_tags(elements: list[Element], report: Report) -> None:
    """Report the top-level patterns that match no tag, where every tag that can come is known."""
    tags = _tags(elements)
    if not tags or not all(output.type in ENDS for output in _outputs(elements)):
        return
    for element in elements:
        if element.name in {"match", "filter"} and not _matches_any(element.arg, (*tags, *_OWN_TAGS)):
            message = f"{describe(element)}: no <source> gives events a tag that it matches"
            hint = did_you_mean(element.arg, tags) or f"the tags are {_listed(tags)}"
            report(warning("unmatched-pattern", message, element.arg_position, hint))


def _tags(elements: list[Element]) -> list[str]:
    """Return every tag that comes to what stands outside labels; none where a source may give others."""
    tags = []
    all_come = _comes_back(elements)
    for element in elements:
        if element.name != "source" or not (all_come or element.get("@label") in {None, "@ROOT"}):
            continue
        tag = element.get("tag")
        if element.type not in PLAIN_SOURCES or not tag or "*" in tag or "${" in tag:
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
    shown = list(dict.fromkeys(tags))
    more = f" and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
    return f"{', '.join(shown[:MOST_SHOWN])}{more}"


def _outputs(elements: Iterable[Element]) -> Iterator[Element]:
    for element in elements:
        if element.name in {"match", "store", "secondary"}:
            yield element
        yield from _outputs(element.elements)


def _matches_any(pattern: str, tags: Iterable[str]) -> bool:
    try:
        return any(map(compile_pattern(pattern), tags))
    except InvalidPatternError:
        return True  # it is reported as what it is
