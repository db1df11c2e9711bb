"""`detect_exceptions`, as an output and as a filter: stack traces, which come line by line, become one event.

`traces.py` knows what traces of which languages look like, `detector.py` follows one line by line, `accumulator.py`
keeps the lines of one, and `output.py` and `filter.py` send on what is complete.
"""
