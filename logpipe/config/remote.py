"""Downloads configuration where that is allowed: by https with the certificate verified, or by http."""

from __future__ import annotations

import ssl
import time
import urllib.request
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Final
from urllib.error import HTTPError, URLError

TIMEOUT: Final = 10.0
"""Seconds within which the whole response must have arrived."""
MAX_BYTES: Final = 4 * 1024 * 1024

_PIECE: Final = 1 << 16


class RemoteError(OSError):
    """The content of a URL cannot be fetched, or not safely."""


def fetch(url: str, *, timeout: float = TIMEOUT) -> bytes:
    """Return the content of an http or https URL.

    Raises:
        OSError: it cannot be fetched: another scheme, no response in time, an invalid certificate, an error status,
            more than `MAX_BYTES`, or a redirect from https to http.
    """
    deadline = time.monotonic() + timeout
    try:
        with _opener().open(url, timeout=timeout) as answer:
            return _read(answer, deadline)
    except HTTPError as problem:
        problem.close()  # an HTTPError is the response, too
        raise RemoteError(f"the server answers {problem.code} {problem.reason}") from None
    except URLError as problem:
        raise RemoteError(str(problem.reason)) from None
    except TimeoutError:
        raise RemoteError(f"no answer within {timeout:.0f} seconds") from None
    except (ValueError, HTTPException) as problem:
        raise RemoteError(f"{type(problem).__name__}: {problem}") from None


def _read(answer: HTTPResponse, deadline: float) -> bytes:
    data = bytearray()
    while piece := answer.read1(_PIECE):
        data += piece
        if len(data) > MAX_BYTES:
            raise RemoteError(f"it is larger than {MAX_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(data)


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http."""

    def redirect_request(  # noqa: PLR0917 - urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://") and not (newurl.startswith("http://") and req.type == "http"):
            raise RemoteError(f"the server redirects to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https only; build_opener would add ftp, file and data."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _Redirect(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
