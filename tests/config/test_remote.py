"""Configuration from a real server on this machine: what is taken, and what is not."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from logpipe.config import remote
from logpipe.config.diagnostic import Diagnostic
from logpipe.config.parser import parse_file


class Answers(BaseHTTPRequestHandler):
    """What lies at each path."""

    released: threading.Event

    def do_GET(self) -> None:
        match self.path:
            case "/a.conf":
                self.answer(200, b"k v\n@include b.conf\n")
            case "/empty":
                self.answer(200, b"")
            case "/large":
                self.answer(200, b"#" * (remote.MAX_BYTES + 1))
            case "/slow":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not self.released.wait(0.02):
                        self.wfile.write(b"#")
            case "/silent":
                self.released.wait()
            case "/moved":
                self.answer(302, b"", location="/a.conf")
            case "/to-http":
                self.answer(302, b"", location="http://127.0.0.1/a.conf")
            case "/to-a-file":
                self.answer(302, b"", location="file:///etc/hostname")
            case _:
                self.answer(404, b"")

    def answer(self, status: int, body: bytes, *, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on a free port; the value is its URL."""
    Answers.released = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        Answers.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def url() -> Iterator[str]:
    """Where the server is."""
    with serving() as place:
        yield place


def test_what_is_there(url: str, tmp_path: Path) -> None:
    """It becomes a part of the configuration; what it includes itself is not looked for here."""
    main = tmp_path / "main.conf"
    main.write_text(f"@include {url}/a.conf\n")
    said: list[Diagnostic] = []

    root = parse_file(main, report=said.append, fetch=remote.fetch)

    assert root.get("k") == "v"
    assert [problem.code for problem in said] == ["insecure-include", "include-not-found"]


def test_a_redirection_is_followed(url: str) -> None:
    """To another place that http can reach."""
    assert remote.fetch(f"{url}/moved") == b"k v\n@include b.conf\n"


def test_nothing(url: str) -> None:
    """An empty answer is an empty configuration."""
    assert remote.fetch(f"{url}/empty") == b""


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/none", "the server answers 404 Not Found"),
        ("/large", "it is larger than 4 MiB"),
        ("/to-a-file", "the server answers 302 Found - Redirection to url 'file:///etc/hostname' is not allowed"),
    ],
)
def test_what_is_not_taken(url: str, path: str, message: str) -> None:
    """An error, too much, and a way out of http are errors."""
    with pytest.raises(OSError, match=f"^{message}$"):
        remote.fetch(f"{url}{path}")


@pytest.mark.parametrize("path", ["/slow", "/silent"])
def test_time_runs_out(url: str, path: str) -> None:
    """A server that says nothing, or little by little, does not hold the start up."""
    with pytest.raises(OSError, match="no answer within 1 seconds"):
        remote.fetch(f"{url}{path}", timeout=0.6)


@pytest.mark.parametrize("scheme", ["ftp", "file", "data"])
def test_other_schemes(scheme: str) -> None:
    """Nothing but http and https is opened."""
    with pytest.raises(OSError, match=f"unknown url type: {scheme}"):
        remote.fetch(f"{scheme}://127.0.0.1/etc/hostname")


def test_nobody_there() -> None:
    """A port that nobody listens at is an error at once."""
    with serving() as place:
        closed = place
    with pytest.raises(OSError, match="refused"):
        remote.fetch(f"{closed}/a.conf")


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Where a server with TLS is, and its certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run([*command, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(context) as place:
        yield place, certificate


def test_an_unknown_certificate(tls: tuple[str, Path]) -> None:
    """A server that cannot show who it is is not believed."""
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        remote.fetch(f"{tls[0]}/a.conf")


def test_a_known_certificate(tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can is, and it cannot send us on to where nobody can show it."""
    url, certificate = tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert remote.fetch(f"{url}/moved") == b"k v\n@include b.conf\n"
    with pytest.raises(OSError, match=r"^the server redirects to http://127\.0\.0\.1/a\.conf$"):
        remote.fetch(f"{url}/to-http")
