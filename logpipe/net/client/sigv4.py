"""Signatures of requests as AWS asks for them: Signature Version 4, with headers.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from logpipe.net.client.credentials import AwsCredentials

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_NANOS: Final = 1_000_000_000


class AwsSigner:
    """Signs requests to one service in one region.

    Args:
        service: its short name, `es`, `aps`, `s3` say.
        region: `eu-west-1` say.
    """

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region

    def sign(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Iterable[bytes],
        *,
        credentials: AwsCredentials,
        now: int,
        hash_header: bool = True,
    ) -> dict[str, str]:
        """Return the headers that a request needs beside its own, which are signed with it.

        Args:
            method: POST, PUT, …
            url: as it is sent.
            headers: those to be signed, such as Content-Type; `Host` is what the URL says.
            body: whole, in parts; as it is sent.
            credentials: the keys.
            now: nanoseconds since the epoch; AWS refuses what is fifteen minutes off.
            hash_header: whether the hash of the body is a header too.
        """
        parts = urlsplit(url)
        moment = datetime.fromtimestamp(now // _NANOS, UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256()
        for part in body:
            digest.update(part)
        added = {"X-Amz-Date": moment}
        if credentials.token:
            added["X-Amz-Security-Token"] = credentials.token
        if hash_header:
            added["X-Amz-Content-Sha256"] = digest.hexdigest()
        signed = {"Host": parts.netloc.rpartition("@")[2], **headers, **added}
        canonical = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
        names = ";".join(name for name, _ in canonical)
        request = "\n".join(
            (
                method,
                self._path(parts.path),
                _query(parts.query),
                *(f"{name}:{value}" for name, value in canonical),
                "",
                names,
                digest.hexdigest(),
            )
        )
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{credentials.secret_key}".encode()
        for step in (moment[:8], self._region, self._service, "aws4_request"):
            key = _hmac(key, step)
        signature = _hmac(key, text).hex()
        credential = f"{credentials.access_key}/{scope}"
        added["Authorization"] = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return added

    def _path(self, path: str) -> str:
        # all services but S3 want what is percent-encoded encoded once more, and no empty or relative steps
        if self._service == "s3":
            return quote(unquote(path), safe="/~") or "/"
        steps: list[str] = []
        for step in path.split("/"):
            if step == "..":
                del steps[-1:]
            elif step not in {"", "."}:
                steps.append(step)
        end = "/" if path.endswith("/") and steps else ""
        return quote(f"/{'/'.join(steps)}{end}", safe="/~")


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = sorted((quote(unquote(name), safe="~"), quote(unquote(value), safe="~")) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
