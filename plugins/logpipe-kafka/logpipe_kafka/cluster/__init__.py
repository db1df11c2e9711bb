"""The brokers, and one producer that speaks to them.

`brokers` (a list, or `zookeeper`) ─► `producer` keeps one `session` alive, with `security`; `verdict` says what an
error means, `diagnosis` why a broker hangs up, `client_log` what aiokafka said last.
"""
