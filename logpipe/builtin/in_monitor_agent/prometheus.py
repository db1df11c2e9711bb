"""All numbers as Prometheus reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from logpipe.monitor import Measurement, Monitor, head_text, labels_text, sample_text

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_]")

Labels: TypeAlias = tuple[tuple[str, str], ...]


def expose(monitor: Monitor) -> str:
    """Return every counter as `logpipe_NAME_total` and every gauge as `logpipe_NAME`, each family in one piece."""
    families: dict[str, list[tuple[Labels, Measurement]]] = {}
    for labels, each in _all(monitor):
        families.setdefault(_name(each), []).append((labels, each))
    return "".join(line for name, members in families.items() for line in _family(name, members))


def _all(monitor: Monitor) -> Iterator[tuple[Labels, Measurement]]:
    for state in monitor.plugins():
        labels = (("plugin_id", state.plugin_id), ("plugin_category", state.kind), ("type", state.type))
        yield from ((labels, each) for each in state.measurements())
    yield from (((), each) for each in monitor.measurements())
    version = str(monitor.process().get("version", ""))
    yield (("version", version),), Measurement("gauge", "build_info", 1, "The version that runs.")


def _name(measurement: Measurement) -> str:
    suffix = "_total" if measurement.kind == "counter" else ""
    return f"logpipe_{_NOT_IN_NAMES.sub('_', measurement.name)}{suffix}"


def _family(name: str, members: Iterable[tuple[Labels, Measurement]]) -> Iterator[str]:
    members = list(members)
    doc = next((each.doc for _, each in members if each.doc), "")
    yield head_text(name, members[0][1].kind, doc)
    for labels, each in members:
        yield sample_text(name, labels_text((*labels, *each.labels)), each.value)
