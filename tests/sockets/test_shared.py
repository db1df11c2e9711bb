"""Sockets that a supervisor opens for its workers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from logpipe.sockets.address import Address
from logpipe.sockets.kept import Sockets
from logpipe.sockets.opening import Here, ListenError, places
from logpipe.sockets.shared import Asked, Share


@contextmanager
def worker(share: Share, number: int) -> Iterator[Asked]:
    """Answer a worker until the block ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def serve() -> None:
        while share.answer(number, ours):
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Asked(theirs)
    finally:
        theirs.close()
        thread.join()
        ours.close()


def is_open(port: int) -> bool:
    """Return whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_two_workers() -> None:
    """They have the same socket, until neither uses it."""
    share, address = Share(Here()), Address.tcp("127.0.0.1", 0)
    (place,) = places(address)
    with worker(share, 0) as one, worker(share, 1) as two:
        with closing(one.open(address, place)) as first, closing(two.open(address, place)) as second:
            port = first.getsockname()[1]
            assert second.getsockname()[1] == port
        assert is_open(port)
        one.keep([])
        assert is_open(port)
        two.keep([])
        assert not is_open(port)


def test_one_that_has_gone() -> None:
    """What it used stays, until the one in its place says what it uses."""
    share, address = Share(Here()), Address.tcp("127.0.0.1", 0)
    (place,) = places(address)
    with worker(share, 0) as first, closing(first.open(address, place)) as sock:
        port = sock.getsockname()[1]
    with worker(share, 0) as second:
        assert is_open(port)
        with closing(second.open(address, place)) as sock:
            assert sock.getsockname()[1] == port
        second.keep([address])
        assert is_open(port)
    for each in share.sockets:
        each.close()
    assert not is_open(port)


def test_what_cannot_be_opened() -> None:
    """The worker says why, as if it had tried itself."""
    share = Share(Here())
    with socket.create_server(("127.0.0.1", 0)) as taken, worker(share, 0) as one:
        address = Address.tcp("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ListenError, match="address already in use: stop what uses it"):
            Sockets(one).at(address, [address])


def test_an_answer_that_came_too_late() -> None:
    """It is not taken for the answer to the next question."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    address = Address.tcp("127.0.0.1", 0)
    with ours, theirs, socket.socket() as late:
        socket.send_fds(ours, [json.dumps({"number": -1}).encode()], [late.fileno()])
        socket.send_fds(ours, [json.dumps({"number": 0, "errno": 13, "reason": "no"}).encode()], [])
        with pytest.raises(PermissionError, match="no"):
            Asked(theirs).open(address, places(address)[0])
