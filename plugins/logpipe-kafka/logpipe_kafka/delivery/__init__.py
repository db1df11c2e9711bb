"""Delivers batches until the brokers have confirmed them.

`connection` assembles an output's parts; `topics` sends, within the `budget` of memory; `direct` and `buffered` (with
`chunk_write`) are the interfaces to outputs without and with a buffer.
"""
