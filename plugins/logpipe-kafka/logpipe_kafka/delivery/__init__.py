"""Delivers batches until the brokers have confirmed them.

`topics` connects and sends, within the `budget` of memory; `buffered` is the interface to outputs with a buffer.
"""
