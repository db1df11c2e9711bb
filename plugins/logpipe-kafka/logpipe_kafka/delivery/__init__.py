"""From batches to brokers that have confirmed them.

`connection` puts an output's parts together; `topics` sends, within the `budget` of memory; `direct` and `buffered`
(with `chunk_write`) are the two ways in.
"""
