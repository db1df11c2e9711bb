"""The brokers, and one producer connected to them.

`brokers` (a list, or from ZooKeeper) ─► `producer` keeps one `session` alive, with `security`; `verdict` classifies
errors, `diagnosis` finds why a broker disconnects.
"""
