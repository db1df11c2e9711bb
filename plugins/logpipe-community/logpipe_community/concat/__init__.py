"""The filter `concat`: `options.py` has its settings, `modes.py` tells which events are one, `filter.py` joins them."""
