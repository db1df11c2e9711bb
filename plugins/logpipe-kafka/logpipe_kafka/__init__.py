"""Kafka inputs and outputs for logpipe.

An event's way: `out_*` receives it, `messages` makes a message and a batch of messages, `delivery` queues the batch by
topic, `cluster` sends it with aiokafka and handles the brokers' responses. Settings: `cluster_options`,
`messages.options`, `flat_messages` (those of fluentd 0.12).

A message's way: `consumer` reads partitions and makes batches, `in_*` say which; the same `cluster` has the brokers.
"""
