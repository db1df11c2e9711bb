"""The tail input: follows log files through rotation, truncation and restarts. `plugin.py` holds the map."""

from logpipe.builtin.in_tail.plugin import Tail

__all__ = ["Tail"]
