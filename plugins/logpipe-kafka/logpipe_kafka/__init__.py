"""Kafka outputs for logpipe.

An event's way: `out_*` takes it, `messages` makes a message of it and a batch of messages, `delivery` queues the batch
by topic and has it sent, `cluster` hands it to aiokafka and hears what the brokers say. Settings: `cluster_options`,
`messages.options`, `flat_messages` (those of fluentd 0.12).
"""
