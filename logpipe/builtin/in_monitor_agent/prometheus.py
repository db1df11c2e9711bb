"""Prometheus' text exposition format, version 0.0.4."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from logpipe.monitor import Measurement, Monitor

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

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
    if doc:
        yield f"# HELP {name} {_escaped(doc)}\n"
    yield f"# TYPE {name} {members[0][1].kind}\n"
    for labels, each in members:
        inside = ",".join(f'{key}="{_quoted(value)}"' for key, value in (*labels, *each.labels))
        yield f"{name}{{{inside}}} {_number(each.value)}\n" if inside else f"{name} {_number(each.value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
