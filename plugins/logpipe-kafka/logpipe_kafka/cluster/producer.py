"""Keeps one producer alive, and replaces it when it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

from aiokafka.errors import KafkaError

from logpipe import Host
from logpipe.discovery import Peer
from logpipe_kafka.cluster import security
from logpipe_kafka.cluster.brokers import Brokers, wait_at_most
from logpipe_kafka.cluster.diagnosis import diagnose
from logpipe_kafka.cluster.session import Session
from logpipe_kafka.cluster.verdict import reason
from logpipe_kafka.cluster_options import ClusterOptions

FIRST_BACK_OFF: Final = 0.1
LONGEST_BACK_OFF: Final = 5.0
WATCH_SECONDS: Final = 5.0
STALL_SECONDS: Final = 60.0
"""Seconds without confirmation while brokers answer, after which aiokafka has lost the batch (aiokafka#1018)."""
MOST_DIAGNOSED: Final = 3
"""The most brokers to diagnose."""
GIVE_UP_SECONDS: Final = 10.0
"""Seconds without a response after which to connect again by the list of brokers: they may have moved."""

_LIBRARY_LOG: Final = logging.getLogger("aiokafka")


class ClientLog(logging.Handler):
    """Keeps aiokafka's last error as the reason of a failure; forwards messages with `get_kafka_client_log true`.

    aiokafka logs at each attempt that a broker is away, on a logger of its own; this plugin logs it once.
    """

    def __init__(self, host: Host, *, forward: bool) -> None:
        super().__init__(logging.INFO)
        self._host = host
        self._forward = forward
        self._last = ""

    def attach(self) -> None:
        """Begin to receive messages."""
        _LIBRARY_LOG.addHandler(self)
        _LIBRARY_LOG.propagate = False
        # Its debug messages contain whole requests.
        _LIBRARY_LOG.setLevel(logging.INFO)

    def detach(self) -> None:
        """Stop receiving messages; safe without `attach`."""
        _LIBRARY_LOG.removeHandler(self)

    def pop_last(self) -> str:
        """Return the last error and clear it."""
        last, self._last = self._last, ""
        return last

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last error, and forward the message if configured."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR and not text.startswith("Unable to update metadata"):
            self._last = text
        if self._forward:
            self._host.log.log(record.levelno, "%s: %s", record.name, text)


class Cluster:
    """The brokers, used through one long-lived producer.

    Args:
        options: the output's.
        brokers: their addresses.
        host: the output's.
        on_trouble: called when no broker could be reached, at each attempt.
    """

    def __init__(
        self, options: ClusterOptions, brokers: Brokers, host: Host, *, on_trouble: Callable[[], None]
    ) -> None:
        self._options = options
        self._brokers = brokers
        self._host = host
        self._on_trouble = on_trouble
        self._security: dict[str, Any] = {}
        self._client_log = ClientLog(host, forward=options.get_kafka_client_log)
        self._session: Session | None = None
        self._retiring: set[Session] = set()
        self._connected = asyncio.Event()
        self._replaced = asyncio.Event()
        self._closed = False
        self._away_since: float | None = None
        self.problem: Exception | None = None
        """Why no broker answers; None while one does, as far as is known."""

    async def start(self) -> None:
        """Begin to connect; returns at once.

        Raises:
            InvalidSetting: a file for TLS can't be used.
        """
        self._security = security.arguments(self._options)
        self._client_log.attach()
        await self._brokers.start()
        self._host.start_task(self._keep_connected(), name="connect")
        self._host.start_task(self._watch(), name="watch")

    async def peers(self) -> list[Peer]:
        """Return the brokers that are asked for the others, of which each is tried as the first.

        Raises:
            InvalidSetting: a file for TLS can't be used.
        """
        self._security = security.arguments(self._options)
        self._client_log.attach()
        await self._brokers.start()
        return [Peer(address, partial(self._try, address)) for address in await self._brokers.addresses()]

    async def _try(self, address: str) -> str:
        try:
            session = await Session.open([address], self._options, self._security)
        except (KafkaError, OSError) as error:
            said, cause = self._client_log.pop_last() or reason(error), await self._cause([address])
            raise KafkaError(f"{said.rstrip(': ')}: {cause}" if cause else said) from error
        number = len(session.addresses)
        await session.close()
        return f"a cluster of {number} broker{'' if number == 1 else 's'}"

    async def stop(self) -> None:
        """Close the producer and the connection to ZooKeeper."""
        self._closed = True
        self._connected.clear()
        sessions = {*self._retiring, *([self._session] if self._session is not None else [])}
        self._session = None
        for session in sessions:
            await session.close()
        await self._brokers.stop()
        self._client_log.detach()

    @property
    def answers(self) -> bool:
        """Whether at least one broker answers, as far as is known."""
        return self._session is not None and self._away_since is None

    async def session(self) -> Session:
        """Return the connected session, once there is one."""
        while self._session is None:
            await self._connected.wait()
        return self._session

    def answered(self) -> None:
        """Record that a broker has answered."""
        if self._away_since is not None:
            away = asyncio.get_running_loop().time() - self._away_since
            self._host.log.info("brokers answer again after %.1f seconds", away)
            self._away_since = None
            self.problem = None

    async def look_up(self, session: Session, topic: str) -> bool:
        """Request a topic's metadata; returns whether a broker has answered."""
        if await session.look_up(topic):
            self.answered()
            return True
        if session is self._session:
            self._unreachable(session, KafkaError(self._client_log.pop_last() or "no broker answers"))
        return False

    def limit_topics(self, topics: Collection[str]) -> None:
        """Request metadata of these topics only from now on."""
        if self._session is not None:
            self._session.limit_topics(topics)

    def replace(self, session: Session, why: str) -> None:
        """Replace the session, if it is still in use; unconfirmed batches are sent again."""
        if session is not self._session or self._closed:
            return
        self._host.log.warning("making a new Kafka producer: %s", why)
        self._session = None
        self._connected.clear()
        self._replaced.set()

    async def _keep_connected(self) -> None:
        while True:
            session = await self._connect()
            self._session = session
            self.answered()
            self._replaced.clear()
            self._connected.set()
            # compat: the message of out_kafka.rb
            self._host.log.info("initialized kafka producer: %s", self._options.client_id)
            await self._replaced.wait()
            self._host.start_task(self._retire(session), name="retire")

    async def _retire(self, session: Session) -> None:
        self._retiring.add(session)
        await session.retire()
        self._retiring.discard(session)

    async def _connect(self) -> Session:
        back_off = FIRST_BACK_OFF
        while True:
            addresses = await self._brokers.addresses()
            self._brokers.changed.clear()
            try:
                return await Session.open(addresses, self._options, self._security)
            except (KafkaError, OSError) as error:
                said = self._client_log.pop_last() or reason(error)
                if self._away_since is None and (cause := await self._cause(addresses)):
                    said = f"{said.rstrip(': ')}: {cause}"
                self._away(KafkaError(said))
            self._brokers.refresh()
            await wait_at_most(back_off, self._brokers.changed)
            back_off = min(LONGEST_BACK_OFF, back_off * 2)

    async def _cause(self, addresses: Sequence[str]) -> str:
        """Return the TLS problem of the first broker that has one, "" without one."""
        context, has_certificate = self._security.get("ssl_context"), bool(self._options.ssl_client_cert)
        asked = (diagnose(each, context, has_certificate=has_certificate) for each in addresses[:MOST_DIAGNOSED])
        return next((cause for cause in await asyncio.gather(*asked) if cause), "")

    def _away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()
            self._host.log.warning("no broker answers, trying again until one does: %s", reason(error))
        self.problem = error
        self._on_trouble()

    def _unreachable(self, session: Session, error: Exception) -> None:
        """Handle a session none of whose brokers answers."""
        self._away(error)
        self._brokers.refresh()
        since = self._away_since or 0.0
        silent = asyncio.get_running_loop().time() - since
        # An idempotent producer must stay the same, else the brokers could not detect duplicates.
        if silent > GIVE_UP_SECONDS and not self._options.idempotent:
            self.replace(session, f"no broker has answered for {silent:.0f} seconds")

    async def _watch(self) -> None:
        """Replace a producer that is stuck, or whose brokers are no longer in the list."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            session = self._session
            if session is None:
                continue
            if session.must_end:
                self.replace(session, "aiokafka's sender has ended")
            elif self._brokers.changed.is_set():
                self._brokers.changed.clear()
                await self._compare(session)
            elif session.waiting_since is not None and loop.time() - session.waiting_since > STALL_SECONDS:
                await self._unstick(session)

    async def _compare(self, session: Session) -> None:
        addresses = set(await self._brokers.addresses())
        if not addresses & session.addresses:
            self.replace(session, f"the brokers are now {', '.join(sorted(addresses))}")

    async def _unstick(self, session: Session) -> None:
        if await session.answers():
            self.replace(session, f"nothing was confirmed for {STALL_SECONDS:.0f} seconds while brokers answer")
        elif session is self._session:
            self._unreachable(session, KafkaError("no broker answers"))
