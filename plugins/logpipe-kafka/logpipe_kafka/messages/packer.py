"""Appends messages to open batches, one for each topic and partition, and queues a batch when it is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from logpipe_kafka.messages.batch import Batch, Headers, Message, Owner, Source
from logpipe_kafka.messages.topic_queue import TopicQueue


class Packer:
    """The open batches of one owner.

    Args:
        owner: of every batch.
        codec: aiokafka's number for the compression.
        put: queues a full batch.
        charge: counts bytes that wait here while their topic's partitions are unknown; negative when they are placed.
    """

    def __init__(
        self,
        owner: Owner,
        codec: int,
        *,
        put: Callable[[TopicQueue, Batch], None],
        charge: Callable[[TopicQueue, int], None],
    ) -> None:
        self._owner = owner
        self._codec = codec
        self._put = put
        self._charge = charge
        self._open: dict[tuple[TopicQueue, int | None], Batch] = {}
        self._unplaced: dict[TopicQueue, list[tuple[int, Message]]] = {}

    def extend(
        self,
        queue: TopicQueue,
        rows: Iterator[tuple[int, bytes]],
        *,
        source: Source,
        numbers: Sequence[int],
        place: int,
        headers: Headers,
    ) -> tuple[int, Exception | None]:
        """Append (timestamp, value) pairs, one for each of the events `numbers[place:]`, for any partition.

        Returns the place after the last one appended, and the exception of `rows` there, if any: the rest of `rows`
        then begins one place later.
        """
        left: tuple[int, bytes] | None = None
        failure: Exception | None = None
        while True:
            batch = self._opened(queue, None)
            before = batch.record_count()
            if left is not None:
                batch.add(left[0], None, left[1], headers)
            try:
                left = batch.extend(rows, headers)
            except Exception as error:  # noqa: BLE001 - whatever one bad record breaks, the others go on
                failure, left = error, None
            if added := batch.record_count() - before:
                batch.add_source(source, numbers[place : place + added])
                place += added
            if left is None:
                return place, failure
            self._seal(queue, None)

    def add(self, queue: TopicQueue, partition: int | None, message: Message) -> None:
        """Append one message, for a given or any partition."""
        batch = self._opened(queue, partition)
        while not batch.add(message.timestamp, message.key, message.value, message.headers):
            self._seal(queue, partition)
            batch = self._opened(queue, partition)
        batch.add_source(message.source, (message.number,))

    def add_keyed(self, queue: TopicQueue, key_hash: int, message: Message) -> None:
        """Append one message for the partition of its key, once the number of partitions is known."""
        if queue.partitions:
            self.add(queue, queue.partitions[key_hash % len(queue.partitions)], message)
            return
        if queue not in self._unplaced:
            self._unplaced[queue] = []
            queue.when_located(self._owner, partial(self._place, queue))
        message.source.hold()
        self._unplaced[queue].append((key_hash, message))
        self._charge(queue, len(message.value))

    def seal(self) -> None:
        """Queue every open batch."""
        for queue, partition in list(self._open):
            self._seal(queue, partition)

    def seal_next(self) -> bool:
        """Queue the open batches with none queued before them; returns whether others stay open, to grow."""
        for queue, partition in list(self._open):
            if not queue.has_queued(partition):
                self._seal(queue, partition)
        return bool(self._open)

    def drop(self) -> None:
        """Drop all messages that are not queued; their events are not settled."""
        self._open.clear()
        for queue in list(self._unplaced):
            queue.forget(self._owner)
            self._take_unplaced(queue)

    def _place(self, queue: TopicQueue) -> None:
        """Place the waiting messages; in a batch for any partition where there are no partitions."""
        count = len(queue.partitions)
        for key_hash, message in self._take_unplaced(queue):
            self.add(queue, queue.partitions[key_hash % count] if count else None, message)
            message.source.settle(())
        self.seal()

    def _take_unplaced(self, queue: TopicQueue) -> list[tuple[int, Message]]:
        waiting = self._unplaced.pop(queue, [])
        self._charge(queue, -sum(len(message.value) for _, message in waiting))
        return waiting

    def _opened(self, queue: TopicQueue, partition: int | None) -> Batch:
        batch = self._open.get((queue, partition))
        if batch is None:
            batch = Batch(self._owner, codec=self._codec, limit=queue.limit, partition=partition)
            self._open[queue, partition] = batch
        return batch

    def _seal(self, queue: TopicQueue, partition: int | None) -> None:
        batch = self._open.pop((queue, partition))
        if batch.record_count():
            self._put(queue, batch)
