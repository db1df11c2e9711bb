"""For tests: a collector of Splunk's."""

from __future__ import annotations

import gzip
import json
from typing import Any, ClassVar

from logpipe.testing.http_peer import Answer, HttpPeer, Request
from logpipe.testing.moods import Mood

TOKEN = "a-token"  # noqa: S105 - of a test


class HecPeer(HttpPeer):
    """Splunk's HTTP event collector: a request whose events are not all valid is refused as a whole.

    An event is invalid that has a field `refuse`; all are in the mood REFUSING_ALL.

    Attributes:
        events: what was taken.
    """

    statuses: ClassVar = {mood: answer for mood, answer in HttpPeer.statuses.items() if mood is not Mood.REFUSING_ALL}

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Answer:
        """Answer a request as the collector does."""
        if (whole := self.statuses.get(self.mood)) is not None:
            return whole
        if request.headers.get("Authorization") != f"Splunk {TOKEN}":
            return Answer(403, b'{"text":"Invalid token","code":4}')
        body = gzip.decompress(request.body) if request.body[:2] == b"\x1f\x8b" else request.body
        events = _objects(body.decode())
        for number, event in enumerate(events):
            if self.mood is Mood.REFUSING_ALL or _inner(event).get("refuse") is True:
                text = {"text": "Invalid data format", "code": 6, "invalid-event-number": number}
                return Answer(400, json.dumps(text).encode())
        self.events += events
        self.taken.update(n for event in events if (n := _inner(event).get("n")) is not None)
        return Answer(200, b'{"text":"Success","code":0}')


def _inner(event: dict[str, Any]) -> dict[str, Any]:
    inner = event["event"]
    if isinstance(inner, str) and inner.startswith("{"):
        inner = json.loads(inner)
    return inner if isinstance(inner, dict) else {}


def _objects(text: str) -> list[dict[str, Any]]:
    decoder, place, found = json.JSONDecoder(), 0, []
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        found.append(value)
    return found
