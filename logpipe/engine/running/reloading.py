"""What one run leaves in buffers that survive it, and what the next one in the same process finds there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from logpipe.engine.accounting.edges import Edge
from logpipe.engine.delivery.outlet import BufferedOutlet

Left: TypeAlias = Mapping[str, int]
"""Events by the place of the buffer that holds them, as `Buffer.place` says it."""


def left_in(outlets: Iterable[BufferedOutlet]) -> Left:
    """Return what buffers hold that survive this run, but for those that hold chunks which nobody has counted."""
    return {
        outlet.buffer.place: outlet.staging.waiting
        for outlet in outlets
        if outlet.buffer.place and not outlet.staging.uncounted
    }


def reload_edges(before: Left, outlets: Iterable[BufferedOutlet]) -> Iterator[Edge]:
    """Yield the links from the run before to the outputs whose buffers are where its were: left = resumed.

    What is in other places has no taker here, and is said by left_behind.py.
    """
    for outlet in outlets:
        if outlet.buffer.place in before and not outlet.staging.uncounted:
            title = f"output {outlet.host.plugin_id}"
            yield Edge(f"{title} before", title, before[outlet.buffer.place], outlet.staging.resumed.value)
