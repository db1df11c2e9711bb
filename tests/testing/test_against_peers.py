"""The peer suite: an output that keeps its promises passes in every mood, and each one that does not is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from logpipe import Chunk, DeliveryError, EventBatch, Host, Options, Output, PermanentError, RetryLater, param
from logpipe.testing import Mood, check_output_against_peer, check_output_over_reload
from logpipe.testing.http_peer import HttpPeer

BUFFER = (
    "<buffer>\nflush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.2\ntotal_limit_size 2m\n"
    "chunk_limit_size 200k\n</buffer>"
)


class PostOptions(Options):
    """Settings of the outputs below."""

    port: int = param("Where the peer is.")


class Posting(Output[PostOptions]):
    """What posts and says how it went."""

    seconds: float | None = 0.3

    def __init__(self, options: PostOptions, host: Host) -> None:
        super().__init__(options, host)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.seconds))

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, batch: list[dict[str, Any]]) -> int:
        assert self._session is not None
        body = b"\n".join(map(orjson.dumps, batch))
        async with self._session.post(f"http://127.0.0.1:{self.options.port}/", data=body) as answer:
            return answer.status

    async def deliver(self, records: list[dict[str, Any]]) -> None:
        status = await self.post(records)
        if status == 429:
            raise RetryLater("throttled", after=0.1)
        if status == 400:
            raise PermanentError("refused")
        if status != 200:
            raise DeliveryError(f"status {status}")


class Post(Posting, type="post"):
    """Takes chunks."""

    async def write(self, chunk: Chunk) -> None:
        await self.deliver([record for batch in chunk.batches() for record in batch.records])


class PostDirectly(Posting, type="post_directly"):
    """Takes batches."""

    async def process(self, batch: EventBatch) -> None:
        try:
            await self.deliver(batch.records)
        except PermanentError as error:
            for time, record in batch.events():
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)


@pytest.fixture
async def peer() -> AsyncIterator[HttpPeer]:
    """A peer that is well."""
    async with HttpPeer().serving() as serving:
        yield serving


@pytest.mark.slow("megabytes go to a slow peer, and to the dead letters")
@pytest.mark.parametrize("mood", list(Mood)[1:])
@pytest.mark.parametrize("cls", [Post, PostDirectly])
async def test_an_output_that_keeps_its_promises(cls: type[Posting], mood: Mood, peer: HttpPeer) -> None:
    """With a buffer and without."""
    await check_output_against_peer(cls, conf(cls, peer), peer, mood)


def conf(cls: type[Posting], peer: HttpPeer) -> str:
    """The body of a section."""
    return f"port {peer.port}\n{BUFFER if cls.is_buffered() else ''}"


class Swallowing(Post, type="swallowing"):
    """Takes an error for success."""

    async def write(self, chunk: Chunk) -> None:
        try:
            await super().write(chunk)
        except aiohttp.ClientError as error:
            self.host.log.warning("%r", error)


class Deaf(Post, type="deaf"):
    """Does not look at the answer."""

    async def deliver(self, records: list[dict[str, Any]]) -> None:
        await self.post(records)


class Patient(Post, type="patient"):
    """Waits for an answer for ever."""

    seconds = None


class Hasty(Post, type="hasty"):
    """Gives up what it could try again."""

    async def deliver(self, records: list[dict[str, Any]]) -> None:
        if await self.post(records) != 200:
            raise PermanentError("no")


class Resigning(Post, type="resigning"):
    """Gives up when nobody is there."""

    async def write(self, chunk: Chunk) -> None:
        try:
            await super().write(chunk)
        except aiohttp.ClientError as error:
            raise PermanentError("no") from error


class Sweeping(PostDirectly, type="sweeping"):
    """Gives up all that comes after what was refused."""

    refuses = False

    async def deliver(self, records: list[dict[str, Any]]) -> None:
        if self.refuses:
            raise PermanentError("refused before")
        try:
            await super().deliver(records)
        except PermanentError:
            self.refuses = True
            raise


class Silencing(PostDirectly, type="silencing"):
    """Drops what is refused."""

    async def process(self, batch: EventBatch) -> None:
        if await self.post(batch.records) not in {200, 400}:
            raise DeliveryError("no")


class Hoarding(PostDirectly, type="hoarding"):
    """Takes whatever comes, and delivers later."""

    async def start(self) -> None:
        await super().start()
        self.queue: asyncio.Queue[EventBatch] = asyncio.Queue()
        self.host.start_task(self._run(), name="deliver")

    async def process(self, batch: EventBatch) -> None:
        assert batch.receipt is not None
        batch.receipt.hold()
        self.queue.put_nowait(batch)

    async def _run(self) -> None:
        while True:
            batch = await self.queue.get()
            while True:
                try:
                    await self.deliver(batch.records)
                except (DeliveryError, aiohttp.ClientError, TimeoutError) as error:
                    self.host.log.warning("%r", error)
                    await asyncio.sleep(0.05)
                else:
                    break
            assert batch.receipt is not None
            batch.receipt.release()


class Early(Hoarding, type="early"):
    """Settles before anything is delivered."""

    async def process(self, batch: EventBatch) -> None:
        await self.queue.put(batch)
        batch.receipt = None

    async def _run(self) -> None:
        while True:
            batch = await self.queue.get()
            try:
                await self.deliver(batch.records)
            except aiohttp.ClientError as error:
                self.host.log.warning("%r", error)


class Clinging(Post, type="clinging"):
    """Stops when its peer has said good-bye, if it ever does."""

    async def stop(self) -> None:
        await super().stop()
        if self._session is not None:
            await asyncio.Event().wait()


class Littering(Post, type="littering"):
    """Leaves a task behind."""

    async def start(self) -> None:
        await super().start()
        self.task = asyncio.create_task(asyncio.sleep(600))  # noqa: TID251 - what is to be found


@pytest.mark.slow("what does not come is waited for")
@pytest.mark.parametrize(
    ("cls", "mood", "problem"),
    [
        (Swallowing, Mood.DOWN, "Swallowing with a peer that is down has lost "),
        (Swallowing, Mood.RESETTING, "Swallowing with a peer that is resetting has lost "),
        (Swallowing, Mood.GARBLING, "Swallowing with a peer that is garbling has lost "),
        (Deaf, Mood.FAILING, "Deaf with a peer that is failing has lost "),
        (Deaf, Mood.THROTTLING, "Deaf with a peer that is throttling has lost "),
        (Deaf, Mood.REFUSING_ALL, "Deaf with a peer that is refusing all has lost "),
        (Patient, Mood.SILENT, "waited 2 seconds for Patient with a peer that is silent to settle all receipts"),
        (Hasty, Mood.FAILING, "Hasty with a peer that is failing gives "),
        (Hasty, Mood.THROTTLING, "Hasty with a peer that is throttling gives "),
        (Sweeping, Mood.REFUSING_ONE, "Sweeping with a peer that is refusing one gives 6 events up: one is refused"),
        (Silencing, Mood.REFUSING_ONE, "Silencing with a peer that is refusing one has lost 1 events"),
        (Hoarding, Mood.DOWN, "Hoarding with a peer that is down holds "),
        (Early, Mood.DOWN, "Early with a peer that is down has lost "),
        (Littering, Mood.SLOW, "waited 10 seconds for Littering with a peer that is slow to leave no task"),
    ],
)
async def test_a_promise_that_is_broken(cls: type[Posting], mood: Mood, problem: str, peer: HttpPeer) -> None:
    """It is said which one."""
    with pytest.raises(AssertionError) as raised:
        await check_output_against_peer(cls, conf(cls, peer), peer, mood, seconds=2 if cls is Patient else 60)
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize(
    ("cls", "problem"),
    [
        (Post, ""),
        (Early, "Early with a peer that is away has lost "),
        (Resigning, "Resigning with a peer that is away gives "),
    ],
)
async def test_a_peer_that_is_away_at_the_start_and_in_a_reload(
    cls: type[Posting], problem: str, peer: HttpPeer
) -> None:
    """An output that keeps its promises passes; each other is found."""
    try:
        await check_output_over_reload(cls, conf(cls, peer), peer, seconds=5)
    except AssertionError as error:
        found = str(error)
    else:
        found = ""
    assert found[: len(problem) or None] == problem


@pytest.mark.slow("the engine waits ten seconds for what does not stop")
async def test_an_output_that_does_not_stop(peer: HttpPeer) -> None:
    """The engine lets go of it in the end, and says so; that is no promise kept."""
    with pytest.raises(AssertionError, match="Clinging with a peer that is down does not stop"):
        await check_output_against_peer(Clinging, conf(Clinging, peer), peer, Mood.DOWN)
