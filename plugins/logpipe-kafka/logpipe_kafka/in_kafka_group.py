"""`@type kafka_group`: reads topics as a member of a consumer group. in_kafka_group.rb."""

from __future__ import annotations

from logpipe import InputHost
from logpipe_kafka.consumer.group import GroupInput
from logpipe_kafka.consumer.options import KafkaGroupOptions

SESSION_SECONDS = 30.0
"""ruby-kafka's session_timeout."""


class KafkaGroup(GroupInput[KafkaGroupOptions], type="kafka_group"):
    """Reads the partitions that the group gives to this process, and commits offsets when nothing before them is owed.

    As many processes as there are partitions can share a topic. What was read and is neither delivered nor in a
    buffer's file is read again after a crash, by whoever has the partition then.
    """

    def __init__(self, options: KafkaGroupOptions, host: InputHost) -> None:
        # compat: the message of in_kafka_group.rb
        host.log.info(
            "Will watch for topics %s at brokers %s and '%s' group",
            options.topics,
            options.brokers,
            options.consumer_group,
        )
        session = options.session_timeout or SESSION_SECONDS
        refresh = {"metadata_max_age_ms": round(each * 1000)} if (each := options.refresh_topic_interval) else {}
        super().__init__(
            options,
            host,
            consumer={
                "group_id": options.consumer_group,
                "auto_offset_reset": "earliest" if options.start_from_beginning else "latest",
                "session_timeout_ms": round(session * 1000),
                "heartbeat_interval_ms": round(min(3.0, session / 3) * 1000),
                **options.fetching,
                **refresh,
            },
            stretches=options.fetcher_max_queue_size,
            commit_seconds=options.offset_commit_interval,
            commit_after=options.offset_commit_threshold or 0,
        )
