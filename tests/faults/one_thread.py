"""Has logpipe do all its blocking work in one thread (`logpipe -r tests.faults.one_thread`).

strace counts system calls for each thread by itself; so every call of that work can be hit by its number.
"""

from __future__ import annotations

from logpipe.engine.running import graph

setattr(graph, "THREADS", 1)  # noqa: B010 - it is a constant for everybody else
