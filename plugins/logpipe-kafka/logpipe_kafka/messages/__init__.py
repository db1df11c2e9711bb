"""From events to batches of messages.

`messages` gives each event a topic, a partition (`partitioner`) and a `payload`; `packer` puts it into the open `batch`
of its `topic_queue`; `topic_guard` bounds how many topics there are.
"""
