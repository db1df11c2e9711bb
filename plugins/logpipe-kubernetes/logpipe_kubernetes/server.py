"""The client of the API server; failures are raised with the pause to make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from logpipe import Host, LogpipeError
from logpipe_kubernetes import client_library
from logpipe_kubernetes.access import Access
from logpipe_kubernetes.rate_limit import LONGEST_PAUSE, TokenBucket

_LONGEST_ANSWER: Final = 60.0
"""Seconds for one whole response, even while bytes arrive."""

_LARGEST_ANSWER: Final = 64 << 20
"""Bytes of one whole response; the pods of a node, at most some hundreds, take a few MiB."""

_LONGEST_EVENT: Final = 16 << 20
"""Bytes of one event of a watch; etcd refuses objects of more than 1.5 MiB."""

_REQUESTS_PER_SECOND: Final = 10.0
_BURST: Final = 50.0
_CONNECTIONS: Final = 8
_PATIENT: Final = 60.0
"""Seconds to pause after a refusal: permissions rarely change."""


class ApiFailure(LogpipeError):  # noqa: N818 - not always an error
    """A request to the API server failed. `status` is HTTP's, 0 where there was no response."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """Seconds to wait at least before the next request."""


class ApiServer:
    """Sends requests to the API server, at a limited rate and with the newest token."""

    def __init__(self, access: Access, host: Host) -> None:
        self._access = access
        self._host = host
        self._bucket = TokenBucket(host.clock, rate=_REQUESTS_PER_SECOND, burst=_BURST)
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        self._opening = asyncio.Lock()
        self._token = _Token(access.token_file)
        self._library: client_library.ClientLibrary | None = None
        self._client: Any = None
        self.closed = False

    async def get(self, *path: str, **query: str) -> dict[str, Any]:
        """Return the object at a path, whose parts are quoted here.

        Raises:
            ApiFailure: there is no such object (404), or no usable response.
        """
        async with self._slots, self._request(path, query, self._access.options.read_timeout) as response:
            try:
                async with asyncio.timeout(_LONGEST_ANSWER):
                    found = orjson.loads(await _whole(response.content.iter_any()))
            except self._errors as problem:
                raise ApiFailure(f"unreadable answer: {_describe(problem)}") from problem
            if not isinstance(found, dict):
                raise ApiFailure("unreadable answer: not an object")
            return found

    async def watch(self, *path: str, silence: float, **query: str) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a watch until the server ends it.

        Args:
            path: what to watch.
            silence: seconds without a byte after which the connection counts as dead.
            query: parameters of the URL.

        Raises:
            ApiFailure: there is no response, an event is not JSON, or the connection broke or went silent.
        """
        async with self._request(path, {"watch": "true", **query}, silence) as response:
            try:
                async for line in _lines(response.content.iter_any()):
                    event = orjson.loads(line)
                    if not isinstance(event, dict):
                        raise ApiFailure("an event of the watch is not an object")
                    yield event
            except self._errors as problem:
                raise ApiFailure(f"the watch broke off: {_describe(problem)}") from problem

    async def close(self) -> None:
        """Close all connections; further requests raise ApiFailure."""
        self.closed = True
        await self._drop_client()

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _request(self, path: tuple[str, ...], query: Mapping[str, str], silence: float) -> AsyncIterator[Any]:
        """Yield a response whose status is 200, unread."""
        url = "/".join((self._access.api, *(quote(part, safe="") for part in path)))
        await self._bucket.wait()
        response = await self._send(url, query, silence)
        if response.status == 401:
            # the token may have been replaced since it was read: try once more with the file's current content
            response.release()
            self._token.forget()
            response = await self._send(url, query, silence)
        async with response:
            if response.status != 200:
                raise await self._refusal(response)
            yield response

    async def _send(self, url: str, query: Mapping[str, str], silence: float) -> Any:
        try:
            client = await self._open()
            return await client.GET(
                url,
                headers=await self._headers(),
                query_params=dict(query),
                _preload_content=False,
                _request_timeout=(self._access.options.open_timeout, silence),
            )
        except self._errors as problem:
            if self._library is not None and isinstance(problem, self._library.aiohttp.ClientSSLError):
                await self._drop_client()  # the authority's file may have been replaced: the next client reads it again
            raise ApiFailure(f"no answer: {_describe(problem)}") from problem

    async def _open(self) -> Any:
        """Return the client, made at the first request, which imports the library."""
        async with self._opening:
            if self.closed:
                raise ApiFailure("the filter has stopped")
            if self._library is None:
                self._library = await self._host.in_thread(client_library.load)
            if self._client is None:
                self._client = await _make_client(self._library, self._access)
            return self._client

    async def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "logpipe-kubernetes"}
        token = await self._host.in_thread(self._token.read) if self._access.token_file else ""
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    async def _refusal(self, response: Any) -> ApiFailure:
        """Return the failure for a response whose status is not 200."""
        try:
            async with asyncio.timeout(_LONGEST_ANSWER):
                body = (await response.content.read(4096)).decode("utf-8", "replace")
        except self._errors:
            body = ""
        status: int = response.status
        if place := response.headers.get("Location", ""):
            body = f"redirects to {place[:200]}, which is not followed: name the API server itself in kubernetes_url"
        retry_after = _PATIENT if status in {401, 403} else _seconds(response.headers.get("Retry-After", ""))
        return ApiFailure(f"HTTP {status} {_message(body)}".strip(), status=status, retry_after=retry_after)

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        return (OSError, ValueError) if self._library is None else self._library.connection_errors


class _Token:
    """A token in a file, read again when the file changes."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._text = ""
        self._seen: tuple[int, int, int] | None = None

    def forget(self) -> None:
        """Make the next `read` read the file, changed or not."""
        self._seen = None

    def read(self) -> str:
        """Return the token in the file, the last one while the file cannot be read."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._text = self._path.read_text(encoding="ascii").strip()
                self._seen = seen
        except (OSError, ValueError):
            self._seen = None
        return self._text


async def _make_client(library: client_library.ClientLibrary, access: Access) -> Any:
    configuration = library.configuration()
    configuration.ssl_ca_cert = access.ca_file or None
    configuration.cert_file = access.options.client_cert or None
    configuration.key_file = access.options.client_key or None
    configuration.verify_ssl = access.options.verify_ssl
    # compat: Ruby's OpenSSL has no strict check, as Python before 3.13; many clusters' authorities fail it
    configuration.disable_strict_ssl_verification = True
    configuration.connection_pool_maxsize = _CONNECTIONS + 1
    client = library.rest.RESTClientObject(configuration)
    if access.options.ssl_partial_chain:
        await _trust_partial_chains(library, client, access)
    client.pool_manager = _NoRedirectSession(client.pool_manager)
    return client


class _NoRedirectSession:
    """aiohttp's session without redirects, so that the token goes to the configured server only."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, **arguments: Any) -> Any:
        """Send a request; a redirect is returned as its response."""
        return await self._session.request(**arguments, allow_redirects=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _trust_partial_chains(library: client_library.ClientLibrary, client: Any, access: Access) -> None:
    """Give the client a session with this flag, for which the library has no setting."""
    import ssl  # noqa: PLC0415 - loaded with the library, and not before

    context = ssl.create_default_context(cafile=access.ca_file or None)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if access.options.client_cert:
        context.load_cert_chain(access.options.client_cert, keyfile=access.options.client_key or None)
    if not access.options.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    await client.pool_manager.close()
    connector = library.aiohttp.TCPConnector(limit=_CONNECTIONS + 1, ssl=context)
    client.pool_manager = library.aiohttp.ClientSession(connector=connector, trust_env=True)


async def _whole(pieces: AsyncIterator[bytes]) -> bytearray:
    """Return a response's body, limited in its decompressed size."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > _LARGEST_ANSWER:
            raise ValueError(f"more than {_LARGEST_ANSWER >> 20} MiB")
    return body


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield complete lines; an incomplete one at the end of the stream is dropped."""
    rest = bytearray()
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        rest += first
        for line in others:
            if rest.strip():
                yield bytes(rest)
            rest[:] = line
        if len(rest) > _LONGEST_EVENT:
            raise ValueError(f"an event of more than {_LONGEST_EVENT >> 20} MiB")


def _message(body: str) -> str:
    """Return the message of a Status object, or the body's first line."""
    try:
        status = orjson.loads(body)
    except ValueError:
        return body.strip().partition("\n")[0][:200]
    return str(status.get("message", ""))[:200] if isinstance(status, dict) else ""


def _seconds(retry_after: str) -> float:
    """Return a Retry-After header's seconds; its other form, a date, is not sent by API servers."""
    return min(float(retry_after), LONGEST_PAUSE) if retry_after.isascii() and retry_after.isdigit() else 0.0


def _describe(problem: BaseException) -> str:
    return str(problem) or type(problem).__name__
