"""Requests of many records, and what becomes of each when the answer is known."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

from logpipe import Chunk, EventBatch, Options, Output, OutputHost, PermanentError
from logpipe.bulk import Bulk, BulkRequest, Entry, Judged, Made, RequestTooLargeError, gzipped, shortened
from logpipe.testing import check_output_against_peer, check_plugin, drive
from logpipe.testing.http_peer import Answer, HttpPeer, Request
from logpipe.testing.moods import Mood
from tests.net.test_documentation import shown

NOW = "<buffer>\nflush_mode immediate\nretry_wait 0.01\nretry_max_interval 0.02\n</buffer>"
Sent = list[tuple[object, list[int]]]


class Bulky(Output[Options], type="bulky"):
    """Sends to a function of the test."""

    judge: Callable[[BulkRequest], Judged]
    most_records = 1000
    most_bytes = 1000

    def __init__(self, options: Options, host: OutputHost) -> None:
        super().__init__(options, host)
        self.sent: Sent = []
        self._bulk = Bulk(host, self._send, most_records=self.most_records, most_bytes=self.most_bytes)

    async def write(self, chunk: Chunk) -> None:
        await self._bulk.deliver(chunk, self._make)

    def _make(self, batch: EventBatch) -> Made:
        return [self.entry(record) for record in batch.records]

    def entry(self, record: dict[str, Any]) -> Entry | Exception | None:
        if record.get("drop"):
            return None
        if record.get("bad"):
            return PermanentError("no JSON")
        return Entry(record.get("to", "a"), str(record["n"]).encode() + b"\n")

    async def _send(self, request: BulkRequest) -> Judged:
        self.sent.append((request.target, [int(part) for part in request.parts]))
        return type(self).judge(request)


def bulky(judge: Callable[[BulkRequest], Judged], **limits: int) -> type[Bulky]:
    """An output whose server judges so."""
    return type("Own", (Bulky,), {"judge": staticmethod(judge), **limits}, type="bulky")


def taken(request: BulkRequest) -> Judged:
    """All is well."""
    del request
    return Judged()


async def run(cls: type[Bulky], *records: dict[str, Any]) -> tuple[Sent, list[tuple[int, str]], Any]:
    """Deliver records as one chunk; return what was sent, what was refused, and the pipeline's trace."""
    async with drive(cls, NOW) as running:
        await running.feed("app", *records)
        await running.flush()
        sent = running.plugin(Bulky).sent
    return sent, [(record["n"], str(error)) for _, _, record, error in running.errors], running


async def test_requests_are_cut_by_count_bytes_and_target() -> None:
    """Each has one target, and keeps the order."""
    records = [{"n": n, "to": "ab"[n % 2]} for n in range(6)]
    sent, _, _ = await run(bulky(taken, most_records=2), *records)
    assert sent == [("a", [0, 2]), ("b", [1, 3]), ("a", [4]), ("b", [5])]
    sent, _, _ = await run(bulky(taken, most_bytes=5), {"n": 1}, {"n": 2}, {"n": 3}, {"n": 1234567}, {"n": 4})
    assert sent == [("a", [1, 2]), ("a", [3]), ("a", [1234567]), ("a", [4])]


async def test_each_record_is_judged() -> None:
    """What is busy is sent again, alone; what is refused has its own reason; the rest is not sent twice."""
    turns = [Judged(refused={1: "too old"}, busy={0: "queue full", 3: "queue full"}), Judged(busy={0: "queue full"})]
    sent, refused, running = await run(
        bulky(lambda _: turns.pop(0) if turns else Judged()), *({"n": n} for n in range(5))
    )
    assert sent == [("a", [0, 1, 2, 3, 4]), ("a", [0, 3]), ("a", [0])]
    assert refused == [(1, "too old")]
    assert any("2 of 5 records are sent again: queue full" in text for text in running.log.texts("warning"))


async def test_an_answer_about_records_that_were_not_sent() -> None:
    """It costs nothing: all that were sent are judged."""
    judge = bulky(lambda _: Judged(refused={9: "no", 0: "too old"}, busy={7: "later"}))
    sent, refused, _ = await run(judge, {"n": 0}, {"n": 1})
    assert (sent, refused) == ([("a", [0, 1])], [(0, "too old")])


async def test_what_cannot_be_made() -> None:
    """It goes to `@ERROR` or is dropped, and costs the others nothing; once, however often the rest is sent."""
    turns = [Judged(busy={0: "later"})]
    records = [{"n": 0, "bad": True}, {"n": 1, "drop": True}, {"n": 2}]
    sent, refused, running = await run(bulky(lambda _: turns.pop(0) if turns else Judged()), *records)
    assert (sent, refused) == ([("a", [2]), ("a", [2])], [(0, "no JSON")])
    assert running.metric("discarded_records") == 1


async def test_a_request_that_is_too_large_is_divided() -> None:
    """Down to the record that alone is."""

    def judge(request: BulkRequest) -> Judged:
        if b"3\n" in request.parts or len(request) > 2:
            raise RequestTooLargeError("413")
        return Judged()

    sent, refused, _ = await run(bulky(judge), *({"n": n} for n in range(5)))
    assert [numbers for _, numbers in sent] == [[0, 1, 2, 3, 4], [0, 1], [2, 3, 4], [2], [3, 4], [3], [4]]
    assert refused == [(3, "413")]


async def test_a_request_that_is_refused_as_a_whole_is_divided_by_the_engine() -> None:
    """Until the record to blame is found; what was delivered is not sent again."""

    def judge(request: BulkRequest) -> Judged:
        if b"3\n" in request.parts:
            raise PermanentError("no")
        return Judged()

    sent, refused, _ = await run(bulky(judge, most_records=2), *({"n": n} for n in range(6)))
    assert refused == [(3, "no")]
    delivered = [number for _, numbers in sent if 3 not in numbers for number in numbers]
    assert sorted(delivered) == [0, 1, 2, 4, 5]


async def test_without_an_error_label_the_reason_is_in_the_dead_letter() -> None:
    """The server's words."""
    _, _, running = await run(bulky(lambda _: Judged(refused={0: "mapping"})), {"n": 1}, {"n": 2})
    (letter,) = running.dead_letters()
    assert (letter.record, letter.reason) == ({"n": 1}, "mapping")


def test_gzip_and_words() -> None:
    """One member; one line of not too many words."""
    assert gzip.decompress(b"".join(gzipped([b"a" * 9, b"b"]))) == b"a" * 9 + b"b"
    assert shortened("a\n b") == "a b"
    assert len(shortened("x" * 999)) == 201


class Lines(HttpPeer):
    """The server of docs/plugins/bulk.md."""

    moods = HttpPeer.moods | {Mood.FAILING_SOME}

    def answer(self, request: Request) -> Answer:
        if (answer := self.statuses.get(self.mood)) is not None:
            return answer
        said = []
        for line in request.body.splitlines():
            if self.mood is Mood.FAILING_SOME and len(said) % 2 == 0:
                said.append(b"busy")
            elif self.mood is Mood.REFUSING_ONE and b'"refuse": true' in line:
                said.append(b"refused")
            else:
                self.taken.update(self.numbers(line.replace(b": ", b":")))
                said.append(b"ok")
        return Answer(200, b"\n".join(said))


async def test_the_output_of_the_documentation() -> None:
    """It keeps what outputs promise, of a server that answers for each record too."""
    cls = shown("bulk.md").StoreInBulk
    await check_plugin(cls, "url http://localhost/")
    buffer = "<buffer>\nflush_mode immediate\nretry_wait 0.1\nchunk_limit_size 100k\ntotal_limit_size 500k\n</buffer>"
    async with Lines().serving() as peer:
        for mood in (Mood.FAILING_SOME, Mood.REFUSING_ONE):
            conf = f"url http://127.0.0.1:{peer.port}/\n{buffer}"
            await check_output_against_peer(cls, conf, peer, mood, most_bytes=1_000_000)
