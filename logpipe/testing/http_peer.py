"""An HTTP server that keeps what it is sent, and can be in any mood."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from aiohttp import web

from logpipe.testing.front import Front
from logpipe.testing.moods import Mood

MARK: Final = b'"refuse":true'
"""What an event holds that is refused in the mood REFUSING_ONE, as JSON without spaces."""
_NUMBER: Final = re.compile(rb'"n":(\d+)')
LARGEST: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What came."""

    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    body: bytes
    """Without its Content-Encoding."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpPeer(Front):
    """An HTTP server behind a front; of what it answers with 2xx it has taken the events.

    Transport moods are the front's. In the others it answers 429 with `Retry-After: 1` (THROTTLING), 503 (FAILING),
    400 (REFUSING_ALL), and 400 to requests with a marked event (REFUSING_ONE). An API whose answers say more, as of a
    bulk request, is a class with its own `answer`.

    Attributes:
        requests: all that came in a mood other than those of the transport.
    """

    moods: ClassVar = Front.moods | {Mood.THROTTLING, Mood.FAILING, Mood.REFUSING_ONE, Mood.REFUSING_ALL}
    statuses: ClassVar[Mapping[Mood, Answer]] = {
        Mood.THROTTLING: Answer(429, headers={"Retry-After": "1"}),
        Mood.FAILING: Answer(503),
        Mood.REFUSING_ALL: Answer(400),
    }

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)
        self.requests: list[Request] = []
        self.taken: set[int] = set()

    def answer(self, request: Request) -> Answer:
        """Answer a request, and `take` the numbers of the events that this says are taken."""
        if (answer := self.statuses.get(self.mood)) is not None:
            return answer
        if self.mood is Mood.REFUSING_ONE and MARK in request.body:
            return Answer(400)
        self.taken.update(self.numbers(request.body))
        return Answer()

    def numbers(self, body: bytes) -> Iterable[int]:
        """Return the field `n` of each event in a body: of JSON without spaces."""
        return map(int, _NUMBER.findall(body))

    async def received(self) -> Collection[int]:
        """Return the numbers of the events that were taken."""
        return self.taken

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve at `port` for as long as the block lasts."""
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._target = runner.addresses[0][:2]
            async with self.standing():
                yield self
        finally:
            await runner.cleanup()

    async def _handle(self, raw: web.BaseRequest) -> web.Response:
        request = Request(raw.method, raw.path_qs, raw.headers, await raw.read())
        self.requests.append(request)
        answer = self.answer(request)
        self.met += self.mood is not Mood.WELL
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
