"""Configuration from other machines, for who allows it: https with the certificate verified, or http."""

from __future__ import annotations

import ssl
import time
import urllib.request
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Final
from urllib.error import HTTPError, URLError

TIMEOUT: Final = 10.0
"""Seconds until the whole answer must be there."""
MAX_BYTES: Final = 4 * 1024 * 1024

_PIECE: Final = 1 << 16


class RemoteError(OSError):
    """What lies at a URL cannot be had, or is not to be trusted."""


def fetch(url: str, *, timeout: float = TIMEOUT) -> bytes:
    """Return what lies at an http or https URL.

    Raises:
        OSError: it cannot be had: another scheme, no answer in time, a certificate that is not valid, an error as an
            answer, more than `MAX_BYTES`, or a way from https to http.
    """
    deadline = time.monotonic() + timeout
    try:
        with _opener().open(url, timeout=timeout) as answer:
            return _read(answer, deadline)
    except HTTPError as problem:
        problem.close()  # it is the answer too
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
    """Goes on to http and https alone, and never from https to http."""

    def redirect_request(  # noqa: PLR0917 - urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://") and not (newurl.startswith("http://") and req.type == "http"):
            raise RemoteError(f"the server sends us on to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens http and https; build_opener would add ftp, files and data."""
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
