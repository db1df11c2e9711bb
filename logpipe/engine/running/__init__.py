"""One worker's life.

`graph` starts and stops the stages, `draining` delivers what is left, `reloading` compares two runs; `ledger` and
`monitor` show what happened; `left_behind` and `replay` look after earlier events, `watchdog` and `malloc` after the
process.
"""
