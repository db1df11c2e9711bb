"""`logpipe check --connect` as it is typed: each peer is tried as its output would connect, and gets no event."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from logpipe.cli import main
from logpipe.engine.running import trying
from logpipe.testing.http_peer import Answer, HttpPeer, Request
from logpipe_elasticsearch.testing import SearchPeer
from tests.builtin.out_forward.peers import peer
from tests.services.in_thread import in_thread
from tests.services.mock_kafka import MockKafka

OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


class Guarded(HttpPeer):
    """Lets those in who say a password, and talks much."""

    def answer(self, request: Request) -> Answer:
        if request.headers.get("Authorization", "") == "Basic dTpzZWNyZXQ=":
            return Answer(405)
        return Answer(401, b"who\r\n2024-01-01 forged\x1b[2J\nare you, http://u:secret@h/")


@pytest.fixture
def guarded() -> Iterator[HttpPeer]:
    """An HTTP server."""
    with in_thread(lambda: Guarded().serving()) as server:
        yield server


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def tried(
    folder: Path, capsys: pytest.CaptureFixture[str], *outputs: str, more: tuple[str, ...] = ()
) -> tuple[int, list[str]]:
    """Check a configuration of outputs; return the status, and the lines about peers."""
    matches = "".join(f"<match a.{number}>\n{text}\n</match>\n" for number, text in enumerate(outputs))
    path = folder / "main.conf"
    path.write_text(matches + OWN_LOG)
    status = main(["check", "--connect", *more, str(path)])
    return status, capsys.readouterr().out.replace(str(path), "main.conf").splitlines()[1:]


def test_http(tmp_path: Path, capsys: pytest.CaptureFixture[str], guarded: HttpPeer, nobody: int) -> None:
    """A server that lets us in, one that does not, and one that is not there; what a stranger says is one line."""
    place = f"127.0.0.1:{guarded.port}"
    status, lines = tried(
        tmp_path,
        capsys,
        f"@type http\nendpoint http://u:secret@{place}/a?token=x",
        f"@type http\nendpoint http://{place}/a",
        f"@type http\nendpoint http://127.0.0.1:{nobody}/",
        f"@type http\nendpoint http://${{h}}:{guarded.port}/\nallowed_hosts 127.0.0.1\n<buffer h>\n</buffer>",
    )
    assert status == 3
    assert lines[0] == f"main.conf:1: <match a.0> @type http http://{place}/: ok: it answers with status 405"
    assert lines[1].startswith(
        f"main.conf:5: <match a.1> @type http http://{place}/: refused: 401 Unauthorized who 2024-01-01"
    )
    assert "\x1b" not in lines[1]
    assert lines[2].startswith(
        f"main.conf:9: <match a.2> @type http http://127.0.0.1:{nobody}/: refused: no answer from"
    )
    assert lines[3].startswith(f"main.conf:13: <match a.3> @type http http://{place}/: refused: 401")
    assert len(lines) == 4
    assert "secret" not in "".join(lines)
    assert {(request.method, request.path, request.body) for request in guarded.requests} == {("OPTIONS", "/", b"")}


def test_forward(tmp_path: Path, capsys: pytest.CaptureFixture[str], nobody: int) -> None:
    """Each server is shaken hands with; a wrong key is a refusal."""
    security = "<security>\nself_hostname {}\nshared_key {}\n</security>"
    with in_thread(lambda: peer(security.format("there", "right"))) as server:
        servers = f"{server.section}<server>\nname gone\nhost 127.0.0.1\nport {nobody}\n</server>"
        outputs = [f"@type forward\n{servers}\n{security.format('here', key)}" for key in ("right", "wrong")]
        status, lines = tried(tmp_path, capsys, *outputs)
        assert server.taken == []
    assert status == 3
    assert [line.partition("@type forward ")[2] for line in lines[:1]] == [f"127.0.0.1:{server.port}: ok"]
    assert "gone: refused: " in lines[1]
    assert f"127.0.0.1:{server.port}: refused: " in lines[2]
    assert "shared" in lines[2]


def test_elasticsearch(tmp_path: Path, capsys: pytest.CaptureFixture[str], guarded: HttpPeer, nobody: int) -> None:
    """Each node is asked for its version, also those that placeholders may become; nothing is set up."""
    template = tmp_path / "t.json"
    template.write_text("{}")
    with in_thread(lambda: SearchPeer().serving()) as server:
        place = f"127.0.0.1:{server.port}"
        status, lines = tried(
            tmp_path,
            capsys,
            f"@type elasticsearch\nhosts {place},127.0.0.1:{nobody}\ntemplate_name t\ntemplate_file {template}",
            "@type opensearch_data_stream\ndata_stream_name a\n<buffer h>\n</buffer>"
            f"\nhosts ${{h}}\nallowed_hosts {place}",
            f"@type elasticsearch\nhosts http://u:wrong@127.0.0.1:{guarded.port}",
        )
        assert {(request.method, request.path) for request in server.requests} == {("GET", "/")}
    assert status == 3
    assert [line.partition(" http")[2][:49] for line in lines] == [
        f"://{place}: ok: version 8.15.0",
        f"://127.0.0.1:{nobody}: refused: no answer from http://"[:49],
        f"://{place}: ok: version 8.15.0",
        f"://127.0.0.1:{guarded.port}: refused: 401 Unauthorized who"[:49],
    ]


def test_kafka(tmp_path: Path, capsys: pytest.CaptureFixture[str], nobody: int) -> None:
    """Each broker is tried as the first."""
    with MockKafka(2) as cluster:
        first = cluster.bootstrap.split(",")[0]
        status, lines = tried(
            tmp_path,
            capsys,
            f"@type kafka2\nbrokers {first},127.0.0.1:{nobody}\ndefault_topic t\n<buffer topic>\n</buffer>",
        )
    assert status == 3
    assert lines[0].endswith(f"{first}: ok: a cluster of 2 brokers")
    assert f"127.0.0.1:{nobody}: refused: " in lines[1]


def test_a_peer_that_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a while."""
    monkeypatch.setattr(trying, "SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        status, lines = tried(tmp_path, capsys, f"@type http\nendpoint http://{place}/")
    assert status == 3
    assert lines == [f"main.conf:1: <match a.0> @type http http://{place}/: refused: no answer within 0.05 seconds"]


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], nobody: int) -> None:
    """One object a line."""
    path = tmp_path / "main.conf"
    path.write_text(f"<match a>\n@type http\nendpoint http://127.0.0.1:{nobody}/\n</match>\n{OWN_LOG}")
    assert main(["check", "--connect", "--format", "json", str(path)]) == 3
    (*_, last) = map(json.loads, capsys.readouterr().out.splitlines())
    assert last.pop("message").startswith("no answer from")
    assert last == {
        "file": str(path),
        "line": 1,
        "section": "<match a> @type http",
        "peer": f"http://127.0.0.1:{nobody}/",
        "connect": "refused",
    }


def test_outputs_in_outputs_and_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str], guarded: HttpPeer) -> None:
    """A store and a `<secondary>` have peers as well; what several workers have is tried once."""
    http = f"@type http\nendpoint http://u:secret@127.0.0.1:{guarded.port}/"
    text = (
        f"<system>\nworkers 2\n</system>\n<match a>\n@type copy\n<store>\n{http}\n</store>\n"
        "<store>\n@type null\n</store>\n</match>\n<worker 1>\n"
        f"<match b>\n{http}\n<buffer>\n</buffer>\n<secondary>\n{http}\n</secondary>\n</match>\n</worker>\n{OWN_LOG}"
    )
    path = tmp_path / "main.conf"
    path.write_text(text)
    assert main(["check", "--connect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split(":")[1] for line in lines] == ["6", "15", "20"]


def test_what_is_not_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str], guarded: HttpPeer) -> None:
    """Nothing, where the flag is missing or the configuration cannot be used; and where there are no peers."""
    path = tmp_path / "main.conf"
    http = f"<match a>\n@type http\nendpoint http://127.0.0.1:{guarded.port}/\n</match>\n{OWN_LOG}"
    path.write_text(http)
    assert main(["check", str(path)]) == 0
    path.write_text(f"{http}<match b>\n@type nul\n</match>\n")
    assert main(["check", "--connect", str(path)]) == 1
    assert guarded.requests == []
    capsys.readouterr()
    assert tried(tmp_path, capsys, "@type null") == (0, ["main.conf: no output says which peers it has"])
