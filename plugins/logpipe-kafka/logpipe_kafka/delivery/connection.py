"""One output's connection to Kafka: brokers, cluster and delivery, made from its settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from logpipe import Host
from logpipe_kafka.cluster import security
from logpipe_kafka.cluster.brokers import Brokers
from logpipe_kafka.cluster.producer import Cluster
from logpipe_kafka.cluster.session import SessionSettings
from logpipe_kafka.cluster_options import ClusterOptions
from logpipe_kafka.delivery.topics import Delivery
from logpipe_kafka.messages.batch import Owner
from logpipe_kafka.messages.packer import Packer

RETRY_SECONDS: Final = 1.0
"""Seconds between the attempts that `max_send_retries` counts (ruby-kafka's retry_backoff)."""


class Connection:
    """Sends an output's messages.

    Args:
        options: the output's.
        brokers: the brokers' addresses.
        host: the output's.
        on_trouble: called when no broker could be reached, at each attempt.
        fallback: topic in place of one that does not exist; "" for none.
    """

    def __init__(
        self,
        options: ClusterOptions,
        brokers: Brokers,
        host: Host,
        *,
        on_trouble: Callable[[Exception], None],
        fallback: str = "",
    ) -> None:
        self.timeout = RETRY_SECONDS * (1 + max(0, options.max_send_retries))
        self._options = options
        self._log: logging.Logger | logging.LoggerAdapter[Any] = host.log
        self._cluster = Cluster(brokers, host, on_trouble=on_trouble)
        self.delivery = Delivery(self._cluster, host, timeout=self.timeout, fallback=fallback)

    async def start(self) -> None:
        """Begin to connect; returns at once.

        Raises:
            InvalidSetting: a file for TLS can't be used.
        """
        options = self._options
        if options.required_acks == 0:
            self._log.warning("required_acks 0 can lose events, since brokers do not confirm them: set 1 or -1")
        settings = SessionSettings(
            client_id=options.client_id,
            acks=options.required_acks,
            ack_seconds=options.ack_seconds,
            idempotent=options.idempotent,
            security=security.arguments(options),
            has_certificate=bool(options.ssl_client_cert),
        )
        await self._cluster.start(settings, log_client=options.get_kafka_client_log)

    async def stop(self) -> None:
        """Close everything, within seconds; receipts of unconfirmed events are not released."""
        self.delivery.close()
        await self._cluster.stop()

    def packer(self, owner: Owner) -> Packer:
        """Return a packer for an owner's messages."""
        return Packer(owner, self._options.codec, put=self.delivery.put, charge=self.delivery.charge)
