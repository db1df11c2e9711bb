"""`ignore_exceptions`: requests that failed and are not sent again."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe.testing import Mood, configure, drive
from logpipe.testing.http_peer import Answer, Request
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchOutput
from logpipe_elasticsearch.testing import BUSY, REFUSED, SearchPeer

BUFFER = "<buffer>\nflush_mode immediate\nretry_wait 0.01\nretry_max_interval 0.02\nretry_max_times 2\n</buffer>"


class First(SearchPeer):
    """Gives an odd answer to the first bulk request."""

    odd: Answer | None = None

    def answer(self, request: Request) -> Answer:
        if "_bulk" in request.path and self.odd is not None:
            odd, self.odd = self.odd, None
            return odd
        return super().answer(request)


async def deliver(server: SearchPeer, conf: str, *records: dict[str, Any]) -> tuple[set[int], Any]:
    """Feed records as one chunk; return what the server took, and the pipeline's trace."""
    text = f"host 127.0.0.1\nport {server.port}\nrequest_timeout 1\n{conf}\n{BUFFER}"
    async with drive(ElasticsearchOutput, text) as running:
        await running.feed("app", *records)
        await running.flush()
    return server.taken, running


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("Elastic::Transport::Transport::Errors::NotFound", Answer(404)),
        ('["Elasticsearch::Transport::Transport::ServerError"]', Answer(401)),
        ("::Elasticsearch::Transport::Transport::Error", Answer(599)),
        ("Fluent::Plugin::ElasticsearchErrorHandler::ElasticsearchVersionMismatch", Answer(200, b"{}")),
        ("StandardError", Answer(200, b"x")),
    ],
)
async def test_an_answer_of_that_name(name: str, answer: Answer) -> None:
    """The request's documents are given up, or thrown away; it is not sent again."""
    for conf, letters, dropped in (("", 1, 0), ("exception_backup false", 0, 1)):
        async with First().serving() as server:
            server.odd = answer
            taken, running = await deliver(server, f"ignore_exceptions {name}\n{conf}", {"n": 1})
        assert (taken, len(running.dead_letters()), len(server.bulk_requests())) == (set(), letters, 1)
        assert running.metric("discarded_records") == dropped


async def test_only_the_request_that_failed_is_given_up() -> None:
    """Of one chunk the others are sent."""
    async with First().serving() as server:
        server.odd = Answer(503)
        conf = "bulk_message_request_threshold 40\nignore_exceptions Elastic::Transport::Transport::ServerError"
        taken, running = await deliver(server, conf, *({"n": n} for n in range(3)))
    assert (taken, [letter.record["n"] for letter in running.dead_letters()]) == ({1, 2}, [0])


@pytest.mark.parametrize(
    ("name", "is_ignored"),
    [
        ("Faraday::ConnectionFailed", True),
        ("Faraday::Error", True),
        ("Faraday::TimeoutError", False),
        ("Faraday::ServerError", False),
        ("Elastic::Transport::Transport::Error", False),
    ],
)
async def test_a_connection_that_fails(name: str, server: SearchPeer, *, is_ignored: bool) -> None:
    """It is no timeout, and no answer of the server; what is not named is tried again."""
    await server.become(Mood.DOWN)
    conf = f"verify_es_version_at_startup false\nignore_exceptions {name}"
    _, running = await deliver(server, conf, {"n": 1})
    assert any("Exception ignored" in text for text in running.log.texts("warning")) == is_ignored
    await server.become(Mood.WELL)


async def test_what_is_no_failure_of_a_request(server: SearchPeer) -> None:
    """Busy documents are sent again, and refused ones have their own reason, whatever is ignored."""
    server.statuses_by_n = {0: [(429, BUSY)], 1: [(400, REFUSED)]}
    taken, running = await deliver(server, "ignore_exceptions StandardError", *({"n": n} for n in range(400)))
    assert taken == {n for n in range(400) if n != 1}
    (letter,) = running.dead_letters()
    assert (letter.record, "mapper_parsing_exception" in letter.reason) == ({"n": 1}, True)


async def test_what_is_set_up_is_not_ignored() -> None:
    """The plugin's rescue is around the bulk request alone."""

    class Young(SearchPeer):
        def call(self, method: str, path: str, body: bytes) -> Answer:
            return Answer(503) if path == "/" else super().call(method, path, body)

    async with Young().serving() as server:
        _, running = await deliver(server, "ignore_exceptions StandardError\nexception_backup false", {"n": 1})
    assert (len(running.dead_letters()), running.metric("discarded_records")) == (1, 0)


def test_a_name_that_no_failure_has() -> None:
    """It is said when the configuration is read: nothing would be ignored."""
    options = configure(ElasticsearchOutput, "ignore_exceptions Faraday::TimeOut, Faraday::TimeoutError")
    (problem,) = options.check()
    assert "no failure of a request is called 'Faraday::TimeOut'" in str(problem)
