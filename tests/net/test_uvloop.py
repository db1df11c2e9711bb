"""The same on uvloop, which is what runs in production, and which has sockets of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.net import test_datagrams, test_http, test_listener, test_transport
from tests.on_uvloop import run

ALONE = (
    test_datagrams.test_a_pause,
    test_http.test_a_body_in_chunks,
    test_http.test_a_client_that_waits_to_be_told,
    test_http.test_bodies,
    test_http.test_many_requests_at_once,
    test_http.test_users,
    test_listener.test_all_addresses,
    test_listener.test_lines,
    test_listener.test_nothing_is_open_at_the_end,
    test_listener.test_strangers,
)
LIMITED = (
    test_http.test_a_client_that_takes_no_answer,
    test_http.test_a_client_that_takes_no_answer_in_no_time,
    test_http.test_all_are_being_served,
    test_http.test_bodies_that_are_too_much_together,
    test_http.test_more_clients_than_room,
    test_http.test_strangers,
    test_listener.test_a_peer_that_takes_nothing,
    test_listener.test_silence,
    test_listener.test_too_many,
)
WITH_FILES = (
    test_http.test_a_handshake_at_a_reload,
    test_http.test_https_and_unix_sockets,
    test_listener.test_unix_socket,
    test_transport.test_a_certificate_that_changes,
    test_transport.test_a_certificate_that_is_half_written,
    test_transport.test_client_certificates,
    test_transport.test_strangers,
    test_transport.test_tls,
)


@pytest.mark.parametrize("test", ALONE)
def test_alone(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """What needs nothing."""
    run(test())


@pytest.mark.parametrize("test", LIMITED)
def test_limits(
    test: Callable[[pytest.MonkeyPatch], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes limits."""
    run(test(monkeypatch))


@pytest.mark.parametrize("test", WITH_FILES)
def test_files(test: Callable[[Path], Coroutine[Any, Any, None]], tmp_path: Path) -> None:
    """What writes files."""
    run(test(tmp_path))


def test_handshakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does both."""
    run(test_transport.test_a_handshake_that_does_not_end(tmp_path, monkeypatch))
