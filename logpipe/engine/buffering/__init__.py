"""From batches to chunks.

`chunking` sorts events by their `chunk_keys`, has them encoded and measured (`encoding`) and queues chunks
(`chunk_queue`, with the pauses of `retry`); `placeholders` fills what their events share into paths and tags.
"""
