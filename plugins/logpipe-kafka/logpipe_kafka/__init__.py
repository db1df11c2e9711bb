"""Kafka outputs for logpipe.

An event's way: out_*.py takes it, messages.py finds its topic, key and payload, packer.py appends it to a batch,
delivery.py queues the batch by topic and has it sent, session.py hands it to aiokafka. cluster.py keeps a producer
alive, brokers.py and zookeeper.py know where the brokers are.
"""
