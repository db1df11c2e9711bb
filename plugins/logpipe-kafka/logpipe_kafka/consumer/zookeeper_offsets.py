"""Offsets in ZooKeeper, where in_kafka.rb keeps them: ROOT/TOPIC/PARTITION/next_offset."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from logpipe import Host
from logpipe_kafka.cluster.brokers import READ_SECONDS, close, reason_of

OPEN_SECONDS = 15.0


class ZooKeeperOffsets:
    """Reads and writes the next offset of each partition.

    Args:
        hosts: ZooKeeper's addresses.
        root: the node that they stand under.
        host: of the input.
    """

    def __init__(self, hosts: str, root: str, host: Host) -> None:
        self._hosts = hosts
        self._root = root.rstrip("/")
        self._host = host
        self._client: Any = None

    async def load(self, partition: TopicPartition) -> int:
        """Return the next offset; 0 where none is stored.

        compat: in_kafka.rb reads a node that it has just made, which is empty, as 0.

        Raises:
            KafkaError: ZooKeeper does not answer.
        """
        return int(await self._call(self._load, self._node(partition)))

    async def save(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Write the next offsets.

        Raises:
            KafkaError: ZooKeeper does not answer.
        """
        await self._call(self._save, {self._node(partition): offset for partition, offset in offsets.items()})

    async def stop(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await self._host.in_thread(close, client)

    def _node(self, partition: TopicPartition) -> str:
        return f"{self._root}/{partition.topic}/{partition.partition}/next_offset"

    async def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return await self._host.in_thread(function, *arguments)
        except Exception as error:
            raise KafkaError(f"ZooKeeper {self._hosts}: {reason_of(error)}") from error

    def _connected(self) -> Any:
        """Return the client; called in a thread."""
        from kazoo.client import KazooClient  # noqa: PLC0415 - loaded only where ZooKeeper is used

        if self._client is None:
            logging.getLogger("kazoo").addHandler(logging.NullHandler())
            client = KazooClient(self._hosts, logger=logging.getLogger("kazoo"))
            try:
                client.start(timeout=OPEN_SECONDS)
            except BaseException:
                close(client)
                raise
            self._client = client
        return self._client

    def _load(self, node: str) -> int:
        client = self._connected()
        client.ensure_path(node)
        data = client.get_async(node).get(timeout=READ_SECONDS)[0]
        text = data.decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0

    def _save(self, offsets: Mapping[str, int]) -> None:
        client = self._connected()
        pending = [client.set_async(node, str(offset).encode()) for node, offset in offsets.items()]
        for each in pending:
            each.get(timeout=READ_SECONDS)
