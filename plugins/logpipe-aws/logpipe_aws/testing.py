"""Servers that speak AWS's protocols as they are documented, for tests."""

from __future__ import annotations

import gzip
from typing import ClassVar, Final
from urllib.parse import unquote, urlsplit

from logpipe.testing import Mood
from logpipe.testing.http_peer import MARK, Answer, HttpPeer, Request

_ERROR: Final = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'


def error(status: int, code: str, message: str = "no") -> Answer:
    """Return an error as S3 tells it."""
    return Answer(status, _ERROR.format(code, message).encode(), {"Content-Type": "application/xml"})


class S3Peer(HttpPeer):
    """Keeps buckets and objects, named by the path.

    Attributes:
        buckets: those there are.
        objects: content and headers by `BUCKET/KEY`.
        answers: what is answered to a method in place of what it does, as long as there is some.
    """

    statuses: ClassVar = {
        Mood.THROTTLING: error(503, "SlowDown"),
        Mood.FAILING: error(500, "InternalError"),
        Mood.REFUSING_ALL: error(403, "AccessDenied"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.buckets = {"logs"}
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.answers: dict[str, list[Answer]] = {}

    def answer(self, request: Request) -> Answer:
        """Answer a request as S3 does."""
        if (answer := self.statuses.get(self.mood)) is not None:
            return answer
        if planned := self.answers.get(request.method):
            return planned.pop(0)
        bucket, _, key = unquote(urlsplit(request.path).path).removeprefix("/").partition("/")
        if request.method == "HEAD":
            return self._look(bucket, key)
        if request.method != "PUT":
            return error(405, "MethodNotAllowed")
        if not key:
            self.buckets.add(bucket)
            return Answer()
        return self._put(bucket, key, request)

    def _look(self, bucket: str, key: str) -> Answer:
        if not key:
            return Answer(200 if bucket in self.buckets else 404)
        _, headers = self.objects.get(f"{bucket}/{key}", (b"", None))
        if headers is None:
            return Answer(404)
        return Answer(headers={name: text for name, text in headers.items() if name.startswith("x-amz-meta-")})

    def _put(self, bucket: str, key: str, request: Request) -> Answer:
        if bucket not in self.buckets:
            return error(404, "NoSuchBucket")
        headers = {name.lower(): text for name, text in request.headers.items()}
        content = request.body
        plain = gzip.decompress(content) if headers.get("content-type") == "application/x-gzip" else content
        if self.mood is Mood.REFUSING_ONE and MARK in plain:
            return error(400, "EntityTooLarge")
        self.objects[f"{bucket}/{key}"] = (plain, headers)
        self.taken.update(self.numbers(plain))
        return Answer()
