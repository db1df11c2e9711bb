"""Sends events into labels by their tags. Settings and rules: fluent-plugin-route 1.0.0, out_route.rb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

from logpipe import EventBatch, InvalidSetting, Options, Output, OutputHost, argument, param, section
from logpipe.tree import Element, Way, compile_pattern
from logpipe_community.retagging import Emitters

_MOST_TAGS: Final = 4096
"""The number of tags whose routes are cached."""


class RouteOptions(Options):
    """Settings of `<route PATTERN>`."""

    pattern: str = argument("Tags that it is for, as in `<match>`.", default="**")
    label: str = param("The label that its events go to.", name="@label", default="")
    remove_tag_prefix: str | None = param("What is cut off the tag, with the dot behind it.", default=None)
    add_tag_prefix: str | None = param("What is put before the tag, with a dot behind it.", default=None)
    copy: bool = param("Whether the events go to the routes after this one, too.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a pattern that is none."""
        try:
            compile_pattern(self.pattern)
        except ValueError as problem:
            yield f"<route {self.pattern}>: {problem}"


class RoutesOptions(Options):
    """Settings of `<match> @type route`."""

    remove_tag_prefix: str | None = param(
        "What is cut off the tag, with the dot behind it, before routes are looked for.", default=None
    )
    add_tag_prefix: str | None = param("What is put before the tag, with a dot behind it, likewise.", default=None)
    match_cache_size: int = param(
        "Accepted for compatibility.", default=256, no_effect="the routes of 4096 tags are remembered"
    )
    tag_cache_size: int = param("Accepted for compatibility.", default=256, no_effect="tags are made anew each time")
    route: list[RouteOptions] = section(
        "A way for events whose tag matches; the first without `copy` is the last that they go.",
        many=True,
        required=True,
    )


class Route(Output[RoutesOptions], type="route"):
    """Emits events into the labels of all routes for their tag, up to the first without `copy`; others are dropped.

    A refusal of the first label goes back to the input; the others are sent their copies until they accept.
    """

    keeps_tag = False

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return the way of each route."""
        outer = _changer(element.get("remove_tag_prefix"), element.get("add_tag_prefix"))
        for route in element.sections("route"):
            inner = _changer(route.get("remove_tag_prefix"), route.get("add_tag_prefix"))
            yield Way(route.get("@label") or "", _retag(route.arg or "**", outer, inner))

    def __init__(self, options: RoutesOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._change = _changer(options.remove_tag_prefix, options.add_tag_prefix)
        self._routes = [
            (compile_pattern(route.pattern), _changer(route.remove_tag_prefix, route.add_tag_prefix), route)
            for route in options.route
        ]
        self._emitters = Emitters(host, {route.label for route in options.route})
        self._found = lru_cache(_MOST_TAGS)(self._find)

    async def process(self, batch: EventBatch) -> None:
        """Emit a batch into each of its labels.

        Raises:
            Exception: the first label's, or a later one's for events that nobody brings again.
        """
        targets = self._found(batch.tag)
        if not targets:
            self.host.dropped(len(batch))
        for number, (label, tag) in enumerate(targets, start=1):
            part = batch if number == len(targets) else batch.copy()
            part.tag = tag
            await self._emitters.emit(label, part, is_first=number == 1)

    def _find(self, tag: str) -> list[tuple[str, str]]:
        """Return labels and tags that events of a tag go on with."""
        changed, found = self._change(tag), []
        for matches, change, route in self._routes:
            if matches(changed):
                found.append((route.label, change(changed)))
                if not route.copy:
                    break
        return found


def _changer(removed: str | None, added: str | None) -> Callable[[str], str]:
    """Return what changes a tag; one without the prefix that is cut off gets the other one all the same."""
    cut, put = f"{removed}." if removed else "", f"{added}." if added else ""
    return lambda tag: put + tag.removeprefix(cut)


def _retag(pattern: str, outer: Callable[[str], str], inner: Callable[[str], str]) -> Callable[[str], str | None]:
    try:
        matches = compile_pattern(pattern)
    except ValueError:
        return lambda _: None
    return lambda tag: inner(outer(tag)) if matches(outer(tag)) else None
