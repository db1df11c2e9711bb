"""From batches to chunks.

`chunking` sorts events by their `chunk_keys`, has them encoded (`encoding`, `sizes`) and queues chunks (`chunk_queue`,
with the pauses of `retry`); `placeholders` fills what a chunk's events share into paths, topics and tags.
"""
