"""Sends batches to their topics: a queue for each topic, a worker for each partition with pending batches.

A topic that fails is retried after growing pauses, and does not delay others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiokafka.errors import (
    BrokerResponseError,
    CorruptRecordException,
    LeaderNotAvailableError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from logpipe import Host, LogpipeError, RecordTooLarge, failure_of
from logpipe.discovery import Peer
from logpipe_kafka.cluster.brokers import Brokers
from logpipe_kafka.cluster.producer import Cluster
from logpipe_kafka.cluster.session import Session
from logpipe_kafka.cluster.verdict import Verdict, judge, reason
from logpipe_kafka.cluster_options import ClusterOptions
from logpipe_kafka.delivery.budget import LIMIT, Budget
from logpipe_kafka.messages.batch import Batch, Owner
from logpipe_kafka.messages.packer import Packer
from logpipe_kafka.messages.topic_queue import TopicQueue

RETRY_SECONDS: Final = 1.0
"""Seconds between the attempts that `max_send_retries` counts (ruby-kafka's retry_backoff)."""
FIRST_BACK_OFF: Final = 0.05
LONGEST_BACK_OFF: Final = 5.0
LONGEST_LOOK_UP: Final = 30.0
DAMAGE_RETRIES: Final = 2
"""Further attempts with a batch that arrived damaged, before its messages are tried one by one."""
FALLBACK_SECONDS: Final = 1.0
"""Seconds that a topic must be unknown before the fallback is used: a new one is unknown at first."""
IDLE_SECONDS: Final = 300.0
MANY_TOPICS: Final = 100
"""Above this number, topics that were not used for IDLE_SECONDS are dropped."""


class RefusedByBroker(LogpipeError):  # noqa: N818 - an event rather than an error
    """The brokers refuse this event permanently."""


class Delivery:
    """The connection of one output, and its topics.

    Args:
        options: the output's.
        brokers: their addresses.
        host: the output's.
        on_trouble: called when no broker could be reached, at each attempt.
        fallback: topic to use in place of one that does not exist; "" for none.
    """

    def __init__(
        self,
        options: ClusterOptions,
        brokers: Brokers,
        host: Host,
        *,
        on_trouble: Callable[[], None] = lambda: None,
        fallback: str = "",
    ) -> None:
        self.timeout = RETRY_SECONDS * (1 + max(0, options.max_send_retries))
        """Seconds of refusals after which a topic's queued batches are refused, and of failures until a chunk is."""
        self._options = options
        self._cluster = Cluster(options, brokers, host, on_trouble=on_trouble)
        self.budget = Budget(LIMIT, lambda: self._cluster.answers)
        self._host = host
        self._fallback = fallback
        self._queues: dict[str, TopicQueue] = {}
        self._closed = False
        self._forget_at = 0.0
        self._delivered = host.counter("emit_records", "Events delivered.")
        self._retried = host.counter("retry_count", "Attempts that failed.")
        host.gauge("in_flight_bytes", lambda: self.budget.size)

    async def start(self) -> None:
        """Begin to connect; does not wait for the brokers.

        Raises:
            InvalidSetting: a file for TLS can't be used.
        """
        if self._options.required_acks == 0:
            self._host.log.warning("required_acks 0 can lose events, since brokers do not confirm them: set 1 or -1")
        await self._cluster.start()

    async def peers(self) -> list[Peer]:
        """Return the brokers, for `logpipe check --connect`; see `Output.peers`."""
        return await self._cluster.peers()

    async def stop(self) -> None:
        """Close everything, within seconds; receipts of unconfirmed events are not released."""
        self._closed = True
        await self._cluster.stop()

    def packer(self, owner: Owner) -> Packer:
        """Return a packer for an owner's messages."""
        return Packer(owner, self._options.codec, put=self.put, charge=self.charge)

    def queue(self, topic: str) -> TopicQueue:
        """Return a topic's queue, the same one while it is in use.

        Raises:
            InvalidTopicName: no topic can have that name.
        """
        queue = self._queues.get(topic)
        if queue is None:
            queue = TopicQueue(topic)
            if len(self._queues) >= MANY_TOPICS and _now() >= self._forget_at:
                self._forget_idle(wanted=topic)
            self._queues[topic] = queue
        queue.used_at = _now()
        return queue

    def full(self, topic: str) -> str | None:
        """Return why a topic fails, if it fails by itself and its share of the budget is used up."""
        queue = self._queues.get(topic)
        if queue is None or not self.budget.is_full_for(queue):
            return None
        return reason(queue.problem) if queue.problem is not None else "it fails"

    def problem_of(self, owner: Owner) -> Exception | None:
        """Return the problem that currently delays an owner's batches; None where none is known."""
        if (problem := self._cluster.problem) is not None:
            return problem
        # few topics fail at a time, so that a search through their queues is cheap
        failing = (queue for queue in self.budget.failing if queue.problem is not None and owner in queue.owners())
        return next((queue.problem for queue in failing), None)

    def put(self, queue: TopicQueue, batch: Batch) -> None:
        """Queue a batch for its topic, and start a worker if necessary."""
        self._charge(queue, batch)
        queue.put(batch)
        self._start_workers(queue)

    def charge(self, queue: TopicQueue, amount: int) -> None:
        """Add bytes that wait for a topic's partitions to be known, and look these up if necessary."""
        self.budget.charge(queue, amount)
        self._start_workers(queue)

    def withdraw(self, owner: object) -> None:
        """Cancel an owner's batches; those in flight may still arrive."""
        for queue in list(self._queues.values()):
            for batch in queue.batches():
                batch.withdrawn = batch.withdrawn or batch.owner is owner
            queue.put_back(*(batch for batch in queue.remove_queued() if not self._is_dropped(queue, batch)))

    def _start_workers(self, queue: TopicQueue) -> None:
        """Start the workers of a queue that are not running."""
        if self._closed or not queue.has_work:
            return
        if queue.partitions:
            for partition in list(queue.start(_now())):
                self._host.start_task(self._work(queue, partition), name=f"send {queue.topic}-{partition}")
        elif not queue.is_locating:
            queue.is_locating = True
            self._host.start_task(self._locate(queue), name=f"locate {queue.topic}")

    async def _locate(self, queue: TopicQueue) -> None:
        """Look up a topic's partitions, while there is something to write to it."""
        try:
            while queue.has_work:
                session = await self._cluster.session()
                answered = False
                if not session.partitions(queue.topic):
                    if self._is_diverted(queue):
                        self._divert(queue)
                        return
                    await asyncio.sleep(queue.pause_left(None, _now()))
                    answered = await self._cluster.look_up(session, queue.topic)
                if partitions := session.partitions(queue.topic):
                    queue.resume(None)
                    queue.located(partitions)
                    return
                queue.pause(None, _now(), first=FIRST_BACK_OFF, longest=LONGEST_LOOK_UP)
                if answered:
                    self._not_there(queue, session)
        finally:
            queue.is_locating = False
            self._start_workers(queue)

    def _not_there(self, queue: TopicQueue, session: Session) -> None:
        """Handle a topic that is unknown to the brokers, or whose metadata they refuse."""
        if session.is_refused(queue.topic):
            self._give_up_when_refused(queue, TopicAuthorizationFailedError(queue.topic))
            return
        self._trouble(queue, UnknownTopicOrPartitionError(queue.topic))
        if self._is_diverted(queue):
            self._divert(queue)

    def _is_diverted(self, queue: TopicQueue) -> bool:
        """Return whether a topic has been missing for long enough, and is not to be looked up right now."""
        return (
            self._fallback not in {"", queue.topic}
            and isinstance(queue.problem, UnknownTopicOrPartitionError)
            and _now() - queue.problem_since > FALLBACK_SECONDS
            and queue.pause_left(None, _now()) > 0
        )

    def _divert(self, queue: TopicQueue) -> None:
        # compat: the behaviour and message of out_kafka2.rb
        self._host.log.warning("'%s' topic not found. Retry with '%s' topic", queue.topic, self._fallback)
        queue.located(())
        fallback = self.queue(self._fallback)
        for batch in queue.remove_queued():
            self.budget.charge(queue, -batch.charge)
            batch.partition = None
            self.put(fallback, batch)

    async def _work(self, queue: TopicQueue, partition: int) -> None:
        """Send the batches for a partition, one at a time, until there are no more."""
        try:
            await asyncio.sleep(queue.pause_left(partition, _now()))
            while (batch := queue.take(partition, _now())) is not None:
                session = await self._cluster.session()
                if self._is_dropped(queue, batch):
                    continue
                error = await self._attempt(session, queue, batch, partition)
                if error is None:
                    self._confirmed(queue, batch, partition)
                else:
                    queue.busy[partition] = None
                    await self._failed(session, queue, batch, partition, error)
                    await asyncio.sleep(queue.pause_left(partition, _now()))
        finally:
            queue.stop(partition)
            self._start_workers(queue)

    async def _attempt(self, session: Session, queue: TopicQueue, batch: Batch, partition: int) -> Exception | None:
        """Send a batch; returns the error, None without one."""
        try:
            if batch.codec:
                await self._host.in_thread(batch.build)
            known = session.has_leader(queue.topic, partition)
            if not known and not await self._cluster.look_up(session, queue.topic):
                raise NodeNotReadyError("no broker answers")  # noqa: TRY301 - returned below
            partitions = session.partitions(queue.topic)
            if partition not in partitions:
                raise UnknownTopicOrPartitionError(f"{queue.topic}-{partition}")  # noqa: TRY301 - returned below
            if not session.has_leader(queue.topic, partition):
                raise LeaderNotAvailableError(f"{queue.topic}-{partition}")  # noqa: TRY301 - returned below
            queue.partitions = partitions
            await session.send(batch, queue.topic, partition)
        except BaseException as raised:
            error = failure_of(raised)  # distinguishes aiokafka's cancelled future from a cancellation of this task
            if error is None:
                raise
            return error  # handled by the caller, who still has the batch
        return None

    def _confirmed(self, queue: TopicQueue, batch: Batch, partition: int) -> None:
        self._cluster.answered()
        self._delivered.add(batch.record_count())
        self.budget.charge(queue, -batch.charge)
        batch.settle()
        queue.resume(partition)
        if queue.problem is not None:
            self._host.log.info(
                "topic %s takes messages again after %.1f seconds", queue.topic, _now() - queue.problem_since
            )
            queue.problem = None
            self.budget.recover(queue)

    async def _failed(
        self, session: Session, queue: TopicQueue, batch: Batch, partition: int, error: Exception
    ) -> None:
        """Handle an error: the batch is queued again, split or refused."""
        self._retried.add(1)
        attempt = queue.pause(partition, _now(), first=FIRST_BACK_OFF, longest=LONGEST_BACK_OFF)
        verdict = judge(error)
        if isinstance(error, CorruptRecordException) and attempt <= DAMAGE_RETRIES:
            verdict = Verdict.AGAIN
        if isinstance(error, BrokerResponseError) and verdict is not Verdict.UNREACHABLE:
            self._cluster.answered()
        if session.must_end or verdict is Verdict.NEW_SESSION:
            self._cluster.replace(session, reason(error))
        if verdict in {Verdict.TOO_LARGE, Verdict.BAD_MESSAGE}:
            queue.resume(partition)
            self._split(queue, batch, error, too_large=verdict is Verdict.TOO_LARGE)
        elif verdict is Verdict.UNKNOWN_TOPIC and partition not in (session.partitions(queue.topic) or {partition}):
            # the topic exists without this partition, by the metadata that `_attempt` has just requested
            queue.resume(partition)
            self._drop(queue, batch)
            batch.refuse(RefusedByBroker(f"topic {queue.topic} has no partition {partition}"))
        else:
            queue.put_back(batch)
            await self._postpone(session, queue, error, verdict)

    async def _postpone(self, session: Session, queue: TopicQueue, error: Exception, verdict: Verdict) -> None:
        """Prepare another attempt with the queued batches, or refuse them."""
        if verdict is Verdict.IMPOSSIBLE_TOPIC:
            self._give_up(queue, error)
        elif verdict is Verdict.REFUSED_TOPIC:
            self._give_up_when_refused(queue, error)
        else:
            self._trouble(queue, error)
        if verdict is Verdict.UNREACHABLE:
            await self._cluster.look_up(session, queue.topic)
        elif verdict is Verdict.UNKNOWN_TOPIC:
            queue.partitions = ()
        self._start_workers(queue)

    def _split(self, queue: TopicQueue, batch: Batch, error: Exception, *, too_large: bool) -> None:
        """Send the halves of a refused batch, or refuse its only message."""
        size = batch.size()
        self._drop(queue, batch)
        if batch.record_count() == 1:
            text = f"a message of {size} bytes is too large for topic {queue.topic}: {reason(error)}"
            batch.refuse(RecordTooLarge(text) if too_large else RefusedByBroker(_why(queue, error)))
            return
        if too_large:
            queue.shrink(size)
        halves = batch.halves()
        for half in halves:
            self._charge(queue, half)
        queue.put_back(*halves)
        self._start_workers(queue)

    def _give_up_when_refused(self, queue: TopicQueue, error: Exception) -> None:
        self._note(queue, error)
        if _now() - queue.problem_since >= self.timeout:
            self._give_up(queue, error)

    def _give_up(self, queue: TopicQueue, error: Exception) -> None:
        """Return a refused topic's queued batches to their owners."""
        queue.located(())
        for batch in queue.remove_queued():
            self._drop(queue, batch)
            batch.owner.refused(batch, RefusedByBroker(_why(queue, error)))

    def _trouble(self, queue: TopicQueue, error: Exception) -> None:
        self._note(queue, error)
        for owner in queue.owners():
            owner.troubled()

    def _note(self, queue: TopicQueue, error: Exception) -> None:
        if queue.problem is None:
            queue.problem_since = _now()
            if self._cluster.answers:
                # compat: out_kafka.rb says it so
                self._host.log.warning(
                    "Send exception occurred: %s: topic %s is tried again", reason(error), queue.topic
                )
        queue.problem = error
        self.budget.fail(queue)

    def _is_dropped(self, queue: TopicQueue, batch: Batch) -> bool:
        """Drop a batch if it was withdrawn; returns whether it was."""
        if batch.withdrawn:
            self._drop(queue, batch)
        return batch.withdrawn

    def _drop(self, queue: TopicQueue, batch: Batch) -> None:
        self.budget.charge(queue, -batch.charge)

    def _charge(self, queue: TopicQueue, batch: Batch) -> None:
        batch.charge = batch.size()
        self.budget.charge(queue, batch.charge)

    def _forget_idle(self, wanted: str) -> None:
        oldest = _now() - IDLE_SECONDS
        self._forget_at = _now() + IDLE_SECONDS / 10
        idle = [name for name, queue in self._queues.items() if queue.is_idle and queue.used_at < oldest]
        for name in idle:
            self.budget.failing.discard(self._queues.pop(name))
        self._cluster.limit_topics({*self._queues, wanted})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _why(queue: TopicQueue, error: Exception) -> str:
    return f"topic {queue.topic} refuses it: {reason(error)}"
