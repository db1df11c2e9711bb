"""Metrics for Prometheus: of events, and of logpipe itself. Settings and names: fluent-plugin-prometheus 2.2.2.

options.py      the sections `<metric>`, `<labels>` and `<initlabels>`
labels.py       from a tag and records to the values of labels
metrics.py      series: counters, gauges, summaries and histograms, so many and no more
registry.py     all metrics of this process, and their text
instruments.py  what the filter and the output share: from batches to series
in_prometheus.py        what Prometheus asks; workers.py: all workers in one answer
monitors/       the inputs that show the other stages
"""
