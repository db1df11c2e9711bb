"""Servers that speak AWS's protocols as they are documented, for tests."""

from __future__ import annotations

import gzip
import json
from typing import Any, ClassVar, Final
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


def fault(code: str, status: int = 400, message: str = "no") -> Answer:
    """Return an error as CloudWatch Logs tells it."""
    return Answer(status, json.dumps({"__type": code, "message": message}).encode())


class LogsPeer(HttpPeer):
    """Keeps groups, streams and log events.

    Attributes:
        groups: what each was made with, and its retention.
        events: times and messages by group and stream; those there are.
        puts: the events of each request that was taken.
        answers: what is answered to an action in place of what it does, as long as there is some.
        rejected: `rejectedLogEventsInfo` of the next answer.
    """

    statuses: ClassVar = {
        Mood.THROTTLING: fault("ThrottlingException"),
        Mood.FAILING: fault("ServiceUnavailableException", 500),
        Mood.REFUSING_ALL: fault("AccessDeniedException"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, dict[str, Any]] = {"g": {}}
        self.events: dict[tuple[str, str], list[tuple[int, str]]] = {("g", "s"): []}
        self.puts: list[list[tuple[int, str]]] = []
        self.answers: dict[str, list[Answer]] = {}
        self.rejected: dict[str, int] = {}

    def actions(self) -> list[str]:
        """Return what was asked for."""
        return [request.headers["X-Amz-Target"].partition(".")[2] for request in self.requests]

    def answer(self, request: Request) -> Answer:
        """Answer a request as CloudWatch Logs does."""
        if (answer := self.statuses.get(self.mood)) is not None:
            return answer
        action = request.headers["X-Amz-Target"].removeprefix("Logs_20140328.")
        if planned := self.answers.get(action):
            return planned.pop(0)
        said = json.loads(request.body)
        group, stream = said.get("logGroupName", ""), said.get("logStreamName", "")
        if action == "CreateLogGroup":
            if group in self.groups:
                return fault("ResourceAlreadyExistsException")
            self.groups[group] = said
        elif action == "DescribeLogGroups":
            return Answer(body=b'{"logGroups":[]}')
        elif group not in self.groups:
            return fault("ResourceNotFoundException", message="The specified log group does not exist.")
        elif action == "PutRetentionPolicy":
            self.groups[group] |= said
        elif action == "CreateLogStream":
            self.events.setdefault((group, stream), [])
        else:
            return self._put((group, stream), said["logEvents"])
        return Answer()

    def _put(self, where: tuple[str, str], given: list[dict[str, Any]]) -> Answer:
        if where not in self.events:
            return fault("ResourceNotFoundException", message="The specified log stream does not exist.")
        events = [(each["timestamp"], each["message"]) for each in given]
        if self.mood is Mood.REFUSING_ONE and any(MARK.decode() in message for _, message in events):
            return fault("InvalidParameterException", message="refused")
        times = [time for time, _ in events]
        size = sum(len(message.encode()) + 26 for _, message in events)
        if times != sorted(times) or times[-1] - times[0] >= 86_400_000 or size > 1_048_576 or len(events) > 10_000:
            return fault("InvalidParameterException", message="limits")
        info, self.rejected = self.rejected, {}
        taken = events[info.get("tooOldLogEventEndIndex", 0) : info.get("tooNewLogEventStartIndex")]
        self.puts.append(taken)
        self.events[where] += taken
        for _, message in taken:
            self.taken.update(self.numbers(message.encode()))
        return Answer(body=json.dumps({"rejectedLogEventsInfo": info} if info else {}).encode())
