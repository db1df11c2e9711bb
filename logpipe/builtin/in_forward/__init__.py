"""The forward input: events from other forwarders and from loggers. `plugin.py` holds the map."""

from logpipe.builtin.in_forward.plugin import Forward

__all__ = ["Forward"]
