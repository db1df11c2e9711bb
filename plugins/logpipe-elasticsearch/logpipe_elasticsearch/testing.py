"""A server that speaks the bulk protocol as it is documented, and the calls that set indexes up, for tests."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final
from urllib.parse import unquote, urlsplit

from logpipe.testing import Mood
from logpipe.testing.http_peer import Answer, HttpPeer, Request

_TYPE: Final = "application/json"
REFUSED: Final = {
    "type": "mapper_parsing_exception",
    "reason": "failed to parse field [n] of type [long]",
    "caused_by": {"type": "number_format_exception", "reason": 'For input string: "x"'},
}
BUSY: Final = {"type": "es_rejected_execution_exception", "reason": "rejected execution of primary operation"}


def of_json(value: Any, status: int = 200) -> Answer:
    """Return an answer with JSON."""
    return Answer(status, json.dumps(value).encode(), {"Content-Type": _TYPE})


class SearchPeer(HttpPeer):
    """Takes documents and answers for each; what is set up is kept by its path.

    Transport moods are the front's. Throttled and failing requests are answered as a whole, in the mood FAILING_SOME
    every second document is busy, and those that are refused are so by their items, within a 200.

    Attributes:
        version: what `GET /` says.
        documents: what was taken: operation, index, id, source.
        things: what was set up, by path.
        statuses_by_n: the status and the error of each document with that field `n`, in place of success.
    """

    moods: ClassVar = HttpPeer.moods | {Mood.FAILING_SOME}

    def __init__(self, version: str = "8.15.0") -> None:
        super().__init__()
        self.version = version
        self.documents: list[tuple[str, str, Any, dict[str, Any]]] = []
        self.things: dict[str, Any] = {}
        self.statuses_by_n: dict[int, list[tuple[int, Any]]] = {}

    def bulk_requests(self) -> list[Request]:
        """Return the bulk requests that came."""
        return [request for request in self.requests if "_bulk" in request.path]

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of all bulk requests."""
        return [json.loads(line) for request in self.bulk_requests() for line in request.body.splitlines()]

    def answer(self, request: Request) -> Answer:
        """Answer a request as the server does."""
        if (whole := self.statuses.get(self.mood)) is not None and self.mood is not Mood.REFUSING_ALL:
            return whole
        path = unquote(urlsplit(request.path).path)
        if path.endswith("/_bulk"):
            return self._bulk(path.removesuffix("/_bulk").strip("/"), request.body)
        return self.call(request.method, path, request.body)

    def call(self, method: str, path: str, body: bytes) -> Answer:
        """Answer what is no bulk request."""
        if path == "/":
            return of_json({"version": {"number": self.version}})
        if method in {"PUT", "POST"}:
            self.things[path] = json.loads(body) if body else {}
            return of_json({"acknowledged": True})
        return of_json(self.things[path]) if path in self.things else of_json({"error": "missing"}, 404)

    def _bulk(self, index: str, body: bytes) -> Answer:
        lines = body.splitlines()
        items: list[dict[str, Any]] = []
        for first, second in zip(lines[::2], lines[1::2], strict=True):
            ((operation, meta),) = json.loads(first).items()
            source = json.loads(second)
            status, error = self._judged(len(items), source.get("doc", source))
            where = meta.get("_index", index)
            if error is None:
                self.documents.append((operation, where, meta.get("_id"), source))
                self.taken.update(self.numbers(second))
            item = {"_index": where, "status": status} | ({} if error is None else {"error": error})
            items.append({operation: item})
        return of_json(
            {"took": 1, "errors": any("error" in next(iter(each.values())) for each in items), "items": items}
        )

    def _judged(self, number: int, source: dict[str, Any]) -> tuple[int, Any]:
        planned = self.statuses_by_n.get(source.get("n", -1))
        if planned:
            return planned.pop(0)
        if self.mood is Mood.FAILING_SOME and number % 2 == 0:
            self.met += 1
            return 429, BUSY
        if self.mood is Mood.REFUSING_ALL or (self.mood is Mood.REFUSING_ONE and source.get("refuse") is True):
            return 400, REFUSED
        return 201, None
