"""The monitor_agent input: what runs and what is counted, over HTTP. `plugin.py` holds the map."""

from logpipe.builtin.in_monitor_agent.plugin import MonitorAgent

__all__ = ["MonitorAgent"]
