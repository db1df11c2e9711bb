"""An HTTP client as an output holds it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from logpipe.net.client.answers import Answer
from logpipe.net.client.settings import MOST_ANSWER, ClientSettings
from logpipe.net.client_tls import ClientContexts
from logpipe.net.tls import Log

if TYPE_CHECKING:
    from logpipe.net.client.pool import Pool

_EMPTY: Final[Mapping[str, str]] = {}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class HttpClient:
    """Sends requests over one pool of connections, from the first one to `stop`; requests may overlap.

    Names are resolved at each connect, redirects are not followed, cookies are not kept, and nothing of the
    environment counts but what `settings` says. aiohttp is imported with the first request.

    Args:
        settings: of its connections.
        log: `host.log`; certificates that were read again, or cannot be, are told there.
    """

    def __init__(self, settings: ClientSettings, log: Log) -> None:
        self._settings = settings
        self._contexts = ClientContexts(settings.tls, log)
        self._pool: Pool | None = None

    def check(self) -> None:
        """Read the files of TLS, so that what is wrong with them is told at the start; needs no server.

        Raises:
            TlsError: one of them cannot be used.
        """
        self._contexts.current()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = _EMPTY,
        body: bytes | Sequence[bytes] = b"",
        most_answer: int = MOST_ANSWER,
    ) -> Answer:
        """Send one request, and return its answer, whatever its status.

        Args:
            method: POST, PUT, …
            url: with http or https; percent-encoded, it is sent as it is.
            headers: names and values; those of the connection and of the body's length are added.
            body: whole, or in parts.
            most_answer: bytes of the answer to read; where it has more, the connection is closed.

        Raises:
            RequestFailedError: there is no answer.
            TlsError: a file of TLS cannot be used.
            ValueError: a header or the URL cannot be sent.
        """
        from logpipe.net.client.pool import Pool  # noqa: PLC0415 - aiohttp takes 0.3 s to import

        for name, value in headers.items():
            check_header(name, value)
        context: ssl.SSLContext | None = self._contexts.current() if url.startswith("https:") else None
        if self._pool is None:
            self._pool = Pool(self._settings)
        parts = (body,) if isinstance(body, bytes) else body
        return await self._pool.request(method, url, headers, parts, context=context, most_answer=most_answer)

    async def stop(self) -> None:
        """Close all connections; safe to call twice, and a request opens others."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()


def check_header(name: str, value: str) -> None:
    """Return if a header can be sent.

    Raises:
        ValueError: it holds a control character, which may end its line, or is no header's name.
    """
    if not name or not name.isascii() or any(char <= " " or char in '()<>@,;:\\"/[]?={}\x7f' for char in name):
        raise ValueError(f"{name!r} is no name of a header")
    if _CONTROL.search(value):
        raise ValueError(f"the header {name} must not hold a control character, such as a line's end: {value!r}")
