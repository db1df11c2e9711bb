"""The connections of one client, on aiohttp."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import abc, payload
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from logpipe.net.client.answers import Answer, RequestFailedError
from logpipe.net.client.settings import ClientSettings
from logpipe.version import __version__

PIECE: Final = 256 * 1024
"""Bytes of a request that the peer must take within `read_seconds`."""
_OWN: Final = {"User-Agent": f"logpipe/{__version__}", "Accept": "*/*"}


class Pool:
    """Sends requests; connections are made when they are needed."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        connect = settings.open_seconds
        handshake = connect if settings.tls_seconds is None else settings.tls_seconds
        self._plain = self._timeout(connect)
        self._with_tls = self._timeout(connect + handshake)
        connector = aiohttp.TCPConnector(
            use_dns_cache=False,  # names are resolved at each connect
            resolver=ThreadedResolver(),  # the system's, whatever else is installed
            limit=0,  # who sends sees to how much at a time
            force_close=not settings.reuse,
            keepalive_timeout=settings.idle_seconds if settings.reuse else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # nothing is asked for that is to be decompressed
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type"),
        )

    def _timeout(self, connect: float) -> aiohttp.ClientTimeout:
        settings = self._settings
        return aiohttp.ClientTimeout(
            total=settings.whole_seconds, connect=connect, sock_connect=connect, sock_read=settings.read_seconds
        )

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Sequence[bytes],
        *,
        context: ssl.SSLContext | None,
        most_answer: int,
    ) -> Answer:
        """Send one request and return its answer; redirects are not followed.

        Raises:
            RequestFailedError: there is none.
            ValueError: there is no such URL.
        """
        try:
            return await self._exchange(method, url, headers, body, context=context, most_answer=most_answer)
        except aiohttp.InvalidURL:
            raise
        except (aiohttp.ClientError, OSError, ssl.SSLError) as problem:  # a TimeoutError is an OSError
            parts = urlsplit(url)
            place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            raise RequestFailedError(f"no answer from {place}: {_reason(problem)}") from problem

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Sequence[bytes],
        *,
        context: ssl.SSLContext | None,
        most_answer: int,
    ) -> Answer:
        async with self._session.request(
            method,
            URL(url, encoded=True),
            headers={**_OWN, **headers},
            data=_Body(body, self._settings.read_seconds),
            proxy=self._settings.proxy,
            ssl=True if context is None else context,
            timeout=self._plain if context is None else self._with_tls,
            allow_redirects=False,
        ) as response:
            found = bytearray()
            while chunk := await response.content.readany():
                found += chunk
                if len(found) > most_answer:
                    response.close()
                    break
            is_cut = len(found) > most_answer
            said = bytes(found[:most_answer])
            return Answer(response.status, response.reason or "", response.headers, said, is_cut)

    async def close(self) -> None:
        """Close all connections."""
        with suppress(OSError):
            await self._session.close()


class _Body(payload.Payload):
    """Bytes that are written in pieces, each within its time: a peer that takes nothing is found out."""

    def __init__(self, parts: Sequence[bytes], seconds: float) -> None:
        super().__init__(parts)
        self._parts = parts
        self._seconds = seconds
        self._size = sum(map(len, parts))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return it as text; for whoever looks at requests."""
        return b"".join(self._parts).decode(encoding, errors)

    async def write(self, writer: abc.AbstractStreamWriter) -> None:
        """Write all of it.

        Raises:
            TimeoutError: the peer has taken nothing for too long.
        """
        for part in self._parts:
            for start in range(0, len(part), PIECE):
                async with asyncio.timeout(self._seconds):
                    await writer.write(part[start : start + PIECE] if len(part) > PIECE else part)


def _reason(problem: Exception) -> str:
    text = str(problem) or ("it took too long" if isinstance(problem, TimeoutError) else type(problem).__name__)
    return text[:1].lower() + text[1:]
