"""What out_http makes of answers: delivered, again, or given up; and of a server in any mood."""

from __future__ import annotations

import pytest

from logpipe.builtin.out_http import HttpOutput
from logpipe.testing import Mood, check_output_against_peer, check_output_over_reload, drive, pipeline
from logpipe.testing.http_peer import Answer, HttpPeer, Request

BUFFER = "flush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.2\nchunk_limit_size 1m\ntotal_limit_size 4m"


class Server(HttpPeer):
    """Answers requests one after the other with what it is given, and the last for ever."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = list(answers)

    def answer(self, request: Request) -> Answer:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.status < 300:
            self.taken.update(self.numbers(request.body))
        return answer


def conf(server: HttpPeer, more: str = "") -> str:
    """The body of a section."""
    return f"endpoint http://127.0.0.1:{server.port}/\n{more}\n<buffer>\n{BUFFER}\n</buffer>"


@pytest.mark.slow("each mood is gone through twice, and silence is waited for")
@pytest.mark.parametrize("mood", sorted(HttpPeer.moods, key=lambda mood: mood.name))
async def test_a_server_in_a_mood(mood: Mood) -> None:
    """Nothing is lost, all is delivered in the end, it stops in time, and what waits is bounded."""
    async with HttpPeer().serving() as peer:
        await check_output_against_peer(HttpOutput, conf(peer, "open_timeout 1\nread_timeout 1"), peer, mood)


async def test_a_server_that_is_away_at_the_start_and_in_a_reload() -> None:
    """Nothing is lost, and nothing is given up."""
    async with HttpPeer().serving() as peer:
        await check_output_over_reload(HttpOutput, conf(peer, "open_timeout 1\nread_timeout 1"), peer)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_passes_is_tried_again(status: int) -> None:
    """Without a list of one's own; and what a list has, alone."""
    async with Server(Answer(status), Answer(201)).serving() as server:
        async with drive(HttpOutput, conf(server)) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
        assert (server.taken, running.dead_letters()) == ({1}, [])
        server.answers = [Answer(status), Answer()]
        async with drive(HttpOutput, conf(server, "retryable_response_codes 418")) as running:
            await running.feed("app", {"n": 2})
            await running.flush()
        assert (server.taken, len(running.dead_letters())) == ({1}, 1)


@pytest.mark.parametrize("status", [302, 401, 404, 500])
async def test_what_does_not_pass_is_given_up(status: int) -> None:
    """At once, with what the server has said."""
    async with Server(Answer(status, b"because")).serving() as server:
        async with drive(HttpOutput, conf(server)) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
        (letter,) = running.dead_letters()
        assert letter.reason.startswith(f"PermanentError: {status} ") or str(status) in letter.reason
        assert "because" in letter.reason
        assert len(server.requests) == 1


async def test_the_record_to_blame_is_found() -> None:
    """The others of its chunk are delivered."""
    async with HttpPeer().serving() as peer:
        await peer.become(Mood.REFUSING_ONE)
        async with drive(HttpOutput, conf(peer)) as running:
            await running.feed("app", *({"n": n, "refuse": n == 5} for n in range(9)))
            await running.flush()
        assert peer.taken == {*range(9)} - {5}
        assert len(running.dead_letters()) == 1


async def test_errors_that_are_thrown_away() -> None:
    """With error_response_as_unrecoverable false they are logged and counted."""
    async with Server(Answer(400, b"no")).serving() as server:
        async with drive(HttpOutput, conf(server, "error_response_as_unrecoverable false")) as running:
            await running.feed("app", {"n": 1}, {"n": 2})
            await running.flush()
            assert running.metric("discarded_records") == 2
        (said,) = running.log.texts("error")
        assert said == f"got error response from 'Post http://127.0.0.1:{server.port}/' : 400 Bad Request no"
        assert running.dead_letters() == []


async def test_success_is_a_status() -> None:
    """Whatever an answer of 200 says of records, as in Fluentd."""
    async with Server(Answer(200, b'{"errors":true}')).serving() as server:
        async with drive(HttpOutput, conf(server)) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
        assert (len(server.requests), running.dead_letters()) == (1, [])


async def test_a_secondary_gets_the_whole_chunk() -> None:
    """As in Fluentd, and out_http can be one."""
    async with Server(Answer(400)).serving() as server, HttpPeer().serving() as other:
        text = conf(server).replace("<buffer>", "<secondary>\n@type http\nendpoint {}\n</secondary>\n<buffer>")
        text = text.format(f"http://127.0.0.1:{other.port}/")
        async with pipeline(f"<match **>\n@type http\n{text}\n</match>") as running:
            await running.feed("app", {"n": 1}, {"n": 2})
            await running.flush()
        assert (len(server.requests), other.taken) == (1, {1, 2})
