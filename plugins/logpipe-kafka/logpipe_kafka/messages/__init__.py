"""Makes batches of messages from events.

`messages` gives each event a topic, a partition (`partitioner`) and a `payload`; `packer` adds it to the open `batch`
of its `topic_queue`; `topic_guard` limits the number of topics.
"""
