"""From elements to a graph, without touching anything.

`build` fills routers, `outlets` builds outputs with their buffers; both make plugins by `construction`. `workers` says
which sections are whose; `lint` and `buffer_lint` warn; `explain` shows what came out.
"""
