"""One plugin's numbers, by the names that tools know from fluentd's in_monitor_agent.rb, and by our own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from logpipe import Record
from logpipe.codec import compile_formatter
from logpipe.monitor import PluginState

OUTPUT: Final = {
    "emit_records": "taken_records",
    "emit_count": "emit_count",
    "retry_count": "retry_count",
    "write_count": "write_count",
    "write_secondary_count": "write_secondary_count",
    "rollback_count": "rollback_count",
    "slow_flush_count": "slow_flush_count",
    "flush_time_count": "flush_time_count",
    "drop_oldest_chunk_count": "drop_oldest_chunk_count",
}
"""Fluentd's names of what every output counts, and ours; 0 where a plugin does not count it."""

NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "input": {"emit_records": "emitted_records"},
    "filter": {"emit_records": "passed_records"},
    "output": OUTPUT,
}
"""The same by kind of plugin. All other numbers keep our names, many of which are fluentd's (`buffer_queue_length`)."""

SPACE: Final = "buffer_available_buffer_space_ratios"

_ruby_time = compile_formatter("%Y-%m-%d %H:%M:%S %z")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown beside the numbers."""

    config: bool = False
    retry: bool = False


def show(state: PluginState, shown: Shown) -> Record:
    """Return a plugin as one object of /api/plugins.json."""
    numbers = {each.name: each.value if math.isfinite(each.value) else None for each in state.measurements()}
    is_output = state.kind == "output"
    record: Record = {"plugin_id": state.plugin_id, "plugin_category": state.kind, "type": state.type}
    if shown.config:
        record["config"] = dict(state.config())
    record["output_plugin"] = is_output
    if not is_output:
        record["retry_count"] = None  # compat: in_monitor_agent.rb has it for every plugin
    record.update({name: numbers.pop(own, 0) for name, own in NAMES[state.kind].items()})
    record["emit_size"] = numbers.pop("emit_size", 0)  # compat: 0 unless enable_size_metrics is true
    timekeys = state.timekeys()
    if timekeys is not None:
        record.update(_slices(timekeys))
    space = numbers.pop(SPACE, None)
    if space is not None:
        record[SPACE] = round(space, 1)
    record.update((name, value) for name, value in numbers.items() if name not in record)
    if shown.retry and is_output:
        record["retry"] = _retry(state)
    return record


def _slices(timekeys: Sequence[int]) -> Record:
    slices: Record = {"buffer_timekeys": list(timekeys)}
    if timekeys:
        slices |= {"buffer_oldest_timekey": timekeys[0], "buffer_newest_timekey": timekeys[-1]}
    return slices


def _retry(state: PluginState) -> Record:
    retry = state.retry()
    if retry is None:
        return {}
    return {"start": _ruby_time(retry.start), "steps": retry.steps, "next_time": _ruby_time(retry.next_time)}
