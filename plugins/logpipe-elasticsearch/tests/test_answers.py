"""What becomes of each document when the answer is known; and of a server in any mood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from logpipe import Output
from logpipe.testing import Mood, check_output_against_peer, check_output_over_reload, drive
from logpipe.testing.http_peer import Answer, Request
from logpipe_elasticsearch.out_data_stream import ElasticsearchDataStream, OpenSearchDataStream
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchOutput
from logpipe_elasticsearch.out_elasticsearch_dynamic import ElasticsearchDynamic
from logpipe_elasticsearch.out_opensearch import OpenSearchOutput
from logpipe_elasticsearch.testing import BUSY, REFUSED, SearchPeer, of_json

NOW = "flush_mode immediate\nretry_wait 0.01\nretry_max_interval 0.02\n"
SMALL = "flush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.2\nchunk_limit_size 200k\ntotal_limit_size 1m"


async def deliver(
    server: SearchPeer,
    *records: dict[str, Any],
    conf: str = "",
    buffer: str = NOW,
    cls: type[Output[Any]] | None = None,
) -> Any:
    """Feed records as one chunk and wait until it is dealt with; return the pipeline's trace."""
    text = f"host 127.0.0.1\nport {server.port}\nrequest_timeout 5\n{conf}\n<buffer>\n{buffer}\n</buffer>"
    async with drive(cls or ElasticsearchOutput, text) as running:
        await running.feed("app.web", *records)
        await running.flush()
    return running


def refused(running: Any) -> list[tuple[int, str]]:
    """The numbers of the events that went to `@ERROR`, with their reasons."""
    return [(record["n"], str(error)) for _, _, record, error in running.errors]


@pytest.mark.slow("each mood is gone through twice, and silence is waited for")
@pytest.mark.parametrize("mood", sorted(SearchPeer.moods, key=lambda mood: mood.name))
async def test_a_server_in_a_mood(mood: Mood, server: SearchPeer) -> None:
    """Nothing is lost, all is delivered in the end, it stops in time, and what waits is bounded."""
    conf = f"host 127.0.0.1\nport {server.port}\nrequest_timeout 1\n<buffer>\n{SMALL}\n</buffer>"
    await check_output_against_peer(ElasticsearchOutput, conf, server, mood, most_bytes=2 * 1024 * 1024)


async def test_a_server_that_is_away_at_the_start_and_in_a_reload(server: SearchPeer) -> None:
    """Nothing is lost, and nothing is given up."""
    conf = f"host 127.0.0.1\nport {server.port}\nrequest_timeout 1\n<buffer>\n{SMALL}\n</buffer>"
    await check_output_over_reload(ElasticsearchOutput, conf, server)


@pytest.mark.parametrize("cls", [ElasticsearchDynamic, ElasticsearchDataStream, OpenSearchOutput, OpenSearchDataStream])
async def test_a_success_that_holds_failures(cls: type[Output[Any]], server: SearchPeer) -> None:
    """Is none, for any of the outputs."""
    server.statuses_by_n = {1: [(400, REFUSED)], 2: [(429, BUSY), (503, {"type": "x", "reason": "y"})]}
    conf = "data_stream_name logs" if "DataStream" in cls.__name__ else ""
    running = await deliver(server, *({"n": n} for n in range(4)), cls=cls, conf=conf)
    assert [document[3]["n"] for document in server.documents] == [0, 3, 2]
    ((number, reason),) = refused(running)
    assert number == 1
    assert "mapper_parsing_exception" in reason


async def test_the_reason_is_the_servers(server: SearchPeer) -> None:
    """With its causes, to `@ERROR`, and in the dead letter where there is none."""
    server.statuses_by_n = {1: [(400, REFUSED)]}
    running = await deliver(server, {"n": 0}, {"n": 1})
    reason = (
        "400 - Rejected by Elasticsearch [error type]: mapper_parsing_exception [reason]: 'failed to parse field [n] "
        'of type [long], caused by number_format_exception: For input string: "x"\''
    )
    assert refused(running) == [(1, reason)]
    (letter,) = running.dead_letters()
    assert (letter.record, letter.reason) == ({"n": 1}, reason)


BLOCK = "cluster_block_exception"


@pytest.mark.parametrize(
    ("conf", "status", "error"),
    [
        ("", 429, BUSY),
        ("", 500, {"type": "exception", "reason": "?"}),
        ("", 503, {"type": "unavailable_shards_exception", "reason": "primary shard is not active"}),
        ("", 429, {"type": BLOCK, "reason": "[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"}),
        ("", 403, {"type": BLOCK, "reason": "blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];"}),
        ("id_key n\nwrite_operation update", 409, {"type": "version_conflict_engine_exception", "reason": "current"}),
        ("", 429, "EsRejectedExecutionException[rejected execution (queue capacity 50)]"),
    ],
)
async def test_what_passes_is_sent_again(conf: str, status: int, error: Any, server: SearchPeer) -> None:
    """By the settings of the buffer, without the documents that are there."""
    server.statuses_by_n = {1: [(status, error)] * 2}
    running = await deliver(server, {"n": 0}, {"n": 1}, conf=conf)
    assert [len(request.body.splitlines()) for request in server.bulk_requests()] == [4, 2, 2]
    assert (server.taken, refused(running)) == ({0, 1}, [])


@pytest.mark.parametrize(
    ("conf", "status", "error"),
    [
        ("", 400, "MapperParsingException[failed to parse [n]]"),
        ("", 404, {"type": "index_not_found_exception", "reason": "no such index"}),
        ("", 403, {"type": "security_exception", "reason": "unauthorized for user [x]"}),
        ("", 403, {"type": BLOCK, "reason": "index [old] blocked by: [FORBIDDEN/8/index write (api)];"}),
        ("id_key n\nwrite_operation update", 404, {"type": "document_missing_exception", "reason": "[1]: missing"}),
        ("unrecoverable_error_types es_rejected_execution_exception", 429, BUSY),
        ("", 400, None),
    ],
)
async def test_what_does_not_pass_is_refused(conf: str, status: int, error: Any, server: SearchPeer) -> None:
    """At once, and holds nothing up."""
    server.statuses_by_n = {1: [(status, error or {})]}
    running = await deliver(server, {"n": 0}, {"n": 1}, conf=conf)
    assert (server.taken, len(server.bulk_requests())) == ({0}, 1)
    ((number, reason),) = refused(running)
    assert (number, reason[:3]) == (1, str(status))


async def test_a_document_that_is_there_already(server: SearchPeer) -> None:
    """With create it was delivered by an attempt before."""
    server.statuses_by_n = {1: [(409, {"type": "version_conflict_engine_exception", "reason": "exists"})]}
    running = await deliver(server, {"n": 1}, conf="id_key n\nwrite_operation create")
    assert (len(server.bulk_requests()), running.errors, running.dead_letters()) == (1, [], [])


class Odd(SearchPeer):
    """Gives some odd answers first."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.odd = list(answers)

    def answer(self, request: Request) -> Answer:
        return self.odd.pop(0) if self.odd and "_bulk" in request.path else super().answer(request)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>welcome"),
        Answer(200, b"[]"),
        Answer(200, b""),
        Answer(200, b'{"errors":false,"items":[]}'),
        Answer(200, b'{"errors":false}'),
        Answer(200, b'{"errors":true,"items":[{"index":{}}]}'),
        Answer(200, b'{"errors":true,"items":[7]}'),
        Answer(200, b'{"errors":true,"items":[{"index":{"status":"201 Created"}}]}'),
        Answer(200, b'{"errors":true,"items":[{"index":{"status":true}}]}'),
        Answer(200, b'{"errors":true,"items":[{"move":{"status":201}}]}'),
        Answer(200, b'{"errors":false,"items":[{"index":{"status":201}}'),
        Answer(200, b'{"errors":false,"items":[{"index":{"status":201}},{"index":{"status":201}}]}'),
        Answer(200, b"<html>" + b"x" * 100_000),
        Answer(401, b"who are you"),
        Answer(403),
        Answer(404),
        Answer(307, headers={"Location": "http://127.0.0.1:1/"}),
        Answer(429, headers={"Retry-After": "0"}),
    ],
)
async def test_an_answer_that_says_nothing_of_the_documents(answer: Answer) -> None:
    """They are sent again: somebody may mend what stands between, or the password."""
    async with Odd(answer).serving() as server:
        running = await deliver(server, {"n": 1})
    assert (server.taken, running.errors, running.dead_letters()) == ({1}, [], [])


def items(*statuses: object, error: object = None) -> Answer:
    """Answer a request with these statuses, and call it a success."""
    more = {} if error is None else {"error": error}
    return of_json({"errors": False, "items": [{"index": {"status": status} | more} for status in statuses]})


async def test_an_answer_of_which_a_part_can_be_read() -> None:
    """The other documents are sent again alone; a status may be a text; `errors` is not believed."""
    async with Odd(items("201", None, 400)).serving() as server:
        running = await deliver(server, *({"n": n} for n in range(3)))
    assert [json.loads(line)["n"] for line in server.bulk_requests()[1].body.splitlines()[1::2]] == [1]
    assert [number for number, _ in refused(running)] == [2]


async def test_a_document_with_an_error_and_the_status_of_success() -> None:
    """It is not taken for one that was delivered."""
    async with Odd(items(200, error=REFUSED)).serving() as server:
        running = await deliver(server, {"n": 1})
    assert [number for number, _ in refused(running)] == [1]


async def test_an_answer_that_is_enormous() -> None:
    """A reason repeats what documents hold: the request is divided, and one document's is refused; nothing stalls."""
    huge = Answer(200, b'{"errors":true,"items":[{"index":{"error":"' + b"x" * 100_000)
    async with Odd(huge, huge).serving() as server:
        running = await deliver(server, {"n": 0}, {"n": 1}, {"n": 2})
    assert (server.taken, [number for number, _ in refused(running)]) == ({1, 2}, [0])
    async with Odd(items(400, error={"type": "t", "reason": "y" * 200_000})).serving() as server:
        running = await deliver(server, {"n": 1, "text": "y" * 50_000})
    assert [reason[:40] for _, reason in refused(running)] == ["400 - Rejected by Elasticsearch [error t"]


async def test_a_request_that_is_too_large() -> None:
    """Is divided, until the document is found that alone is."""
    async with Odd(Answer(413), Answer(413)).serving() as server:
        running = await deliver(server, {"n": 0}, {"n": 1}, {"n": 2})
    assert (server.taken, [number for number, _ in refused(running)]) == ({1, 2}, [0])


async def test_opensearch_throws_away_what_it_is_told_to(server: SearchPeer) -> None:
    """With `emit_error_label_event false`; types that are final are so whatever the status."""
    kinds = [{"type": name, "reason": "?"} for name in ("json_parse_exception", "odd")]
    server.statuses_by_n = {1: [(400, REFUSED)], 2: [(500, kinds[0])]}
    conf = "emit_error_label_event false"
    running = await deliver(server, {"n": 1}, {"n": 2}, {"n": 3}, cls=OpenSearchOutput, conf=conf)
    assert (server.taken, running.errors, running.metric("discarded_records")) == ({3}, [], 2)
    server.statuses_by_n = {4: [(500, kinds[1])], 5: [(500, kinds[0])]}
    conf += "\nunrecoverable_record_types odd"
    running = await deliver(server, {"n": 4}, {"n": 5}, cls=OpenSearchOutput, conf=conf)
    assert (server.taken, running.metric("discarded_records")) == ({3, 5}, 1)


async def test_the_version_is_asked_for_once(server: SearchPeer) -> None:
    """And never where the settings say it."""
    await deliver(server, {"n": 1})
    assert [request.path for request in server.requests] == ["/", "/_bulk"]
    server.requests.clear()
    await deliver(server, {"n": 1}, conf="verify_es_version_at_startup false\ndefault_elasticsearch_version 7")
    assert [request.path for request in server.requests] == ["/_bulk"]


class Coy(SearchPeer):
    """Does not tell its version."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.told = list(answers)

    def call(self, method: str, path: str, body: bytes) -> Answer:
        return self.told.pop(0) if self.told and path == "/" else super().call(method, path, body)


@pytest.mark.parametrize(
    ("answers", "conf", "line"),
    [
        ([Answer(403)], "", {"index": {"_index": "fluentd"}}),
        ([Answer(503), Answer(401)], "", {"index": {"_index": "fluentd"}}),
        ([of_json({"version": {"number": "6.8.1"}})], "", {"index": {"_index": "fluentd", "_type": "fluentd"}}),
        ([of_json({"version": {"number": "7.17.0"}})], "", {"index": {"_index": "fluentd", "_type": "_doc"}}),
        ([of_json({"version": {"number": "7.17.0"}})], "suppress_type_name true", {"index": {"_index": "fluentd"}}),
        (
            [of_json({"version": {"number": "2.19.0", "distribution": "opensearch"}})],
            "",
            {"index": {"_index": "fluentd"}},
        ),
        (
            [of_json({"tagline": "hi"})],
            "default_elasticsearch_version 6",
            {"index": {"_index": "fluentd", "_type": "fluentd"}},
        ),
        (
            [Answer(503)] * 2,
            "max_retry_get_es_version 1\nfail_on_detecting_es_version_retry_exceed false\ntype_name t",
            {"index": {"_index": "fluentd", "_type": "t"}},
        ),
    ],
)
async def test_what_the_version_decides(answers: list[Answer], conf: str, line: dict[str, Any]) -> None:
    """`_type`; a server that does not tell it is a new one, one that cannot now is asked again."""
    async with Coy(*answers).serving() as server:
        await deliver(server, {"n": 1}, conf=conf)
    assert json.loads(server.bulk_requests()[0].body.splitlines()[0]) == line
