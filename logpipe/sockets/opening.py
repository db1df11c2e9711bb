"""From an address to sockets that listen: names resolved, bound, and what went wrong said with a way out."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias

from logpipe.errors import LogpipeError
from logpipe.sockets.address import Address

BACKLOG: Final = 1024
"""Connections that wait to be accepted, while a configuration is read again too; the kernel's limit may be lower."""

Place: TypeAlias = tuple[int, Any]
"""A family and an address as `bind` takes it."""

_WAYS_OUT: Final = {
    errno.EADDRINUSE: "stop what uses it, or give another",
    errno.EACCES: "give a port from 1024 on, or let the user that logpipe runs as do it (CAP_NET_BIND_SERVICE)",
    errno.EADDRNOTAVAIL: "give an address of this machine, or 0.0.0.0 for all of them",
    errno.EAFNOSUPPORT: "this machine has no addresses of that kind: give one of another",
    errno.EMFILE: "raise the limit of open files",
}
_UNIX_WAYS_OUT: Final = {
    errno.EADDRINUSE: "stop the program that listens there, or give another path",
    errno.EACCES: "let the user that logpipe runs as write in its folder, or give another path",
    errno.ENOENT: "make its folder",
    errno.EEXIST: "something else has that name: give another path",
}


class ListenError(LogpipeError):
    """Nothing can listen at an address."""


class Opener(Protocol):
    """Makes listening sockets: this process, or its supervisor for it."""

    @property
    def given(self) -> tuple[socket.socket, ...]:
        """Those that this process was started with."""
        ...

    def open(self, address: Address, place: Place) -> socket.socket:
        """Return a socket that listens at a place of the address; it belongs to the caller.

        Raises:
            OSError: there can be none.
        """
        ...

    def keep(self, addresses: Iterable[Address]) -> None:
        """Hear which addresses are in use from now on, of all that were asked for."""
        ...


class Here:
    """Opens sockets in this process, or takes those that it was started with.

    Args:
        given: listening sockets that whoever started the process has made.
        is_handed: whether that was the program before, in the same process: what is not wanted of them is closed.
    """

    def __init__(self, given: Iterable[socket.socket] = (), *, is_handed: bool = False) -> None:
        self._given = list(given)
        self.is_handed: Final = is_handed

    @property
    def given(self) -> tuple[socket.socket, ...]:
        """Those that were given, and not closed."""
        return tuple(self._given)

    def open(self, address: Address, place: Place) -> socket.socket:
        """Return a new socket, or a copy of one that was given."""
        for each in self._given:
            if _is_at(each, address, place):
                return each.dup()
        try:
            return bind(address, place)
        except OSError:
            in_the_way = [each for each in self._given if self.is_handed and _has_port(each, address)]
            if not in_the_way:
                raise
            self._close(in_the_way)
            return bind(address, place)

    def keep(self, addresses: Iterable[Address]) -> None:
        """Close what the program before has left and nobody wants; what others gave may be wanted again."""
        del addresses
        if self.is_handed:
            self._close(self._given)

    def _close(self, sockets: Iterable[socket.socket]) -> None:
        for each in tuple(sockets):
            self._given.remove(each)
            each.close()


def open_all(address: Address, opener: Opener) -> list[socket.socket]:
    """Return a socket for each address that a name stands for.

    Raises:
        ListenError: one of them cannot be had.
    """
    opened: list[socket.socket] = []
    try:
        for family, place in places(address):
            if opened and address.port == 0 and not address.is_file:
                place = (place[0], opened[0].getsockname()[1], *place[2:])  # noqa: PLW2901 - one port for all of a name
            opened.append(opener.open(address, (family, place)))
    except OSError as problem:
        for each in opened:
            each.close()
        raise ListenError(f"cannot listen at {address}: {_reason(problem, address)}") from problem
    return opened


def places(address: Address) -> list[Place]:
    """Return what an address stands for; a name may stand for several.

    Raises:
        OSError: it stands for nothing.
    """
    if address.is_file:
        return [(socket.AF_UNIX, address.path)]
    found = socket.getaddrinfo(address.host, address.port, type=address.type, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), place) for family, _, _, _, place in found))


def bind(address: Address, place: Place) -> socket.socket:
    """Return a new socket that listens at a place.

    It is not bound with SO_REUSEPORT: with that, a second program of the same user would share the port by mistake.

    Raises:
        OSError: there can be none.
    """
    family, where = place
    sock = socket.socket(family, address.type)
    try:
        if family == socket.AF_INET6:
            # as in Ruby, an address that was written takes IPv4 as well where it is that of all
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address.host != "::")
        if address.is_file:
            _bind_file(sock, address)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, address.kind == "tcp")
            sock.bind(where)
        if address.type == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_file(sock: socket.socket, address: Address) -> None:
    try:
        sock.bind(address.path)
    except OSError as problem:
        if problem.errno != errno.EADDRINUSE or not _is_left_over(address):
            raise
        # compat: in_unix.rb removes whatever has the name
        os.unlink(address.path)  # noqa: PTH108 - a path of bytes that Path would change is one as well
        sock.bind(address.path)
    if address.mode is not None:
        os.chmod(address.path, address.mode)  # noqa: PTH101 - the same


def _is_left_over(address: Address) -> bool:
    """Return whether a path is a socket that nobody listens at any more."""
    path = address.path
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    with socket.socket(socket.AF_UNIX, address.type) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _is_at(sock: socket.socket, address: Address, place: Place) -> bool:
    """Return whether a socket that was given listens where it is wanted.

    systemd opens `::` for a port without an address, which takes IPv4 as well.
    """
    family, where = place
    if sock.type != address.type:
        return False
    own = sock.getsockname()
    if socket.AF_UNIX in {sock.family, family}:
        return bool(sock.family == family and own == where)
    return bool(own[1] == where[1] and (own[0] == where[0] or (own[0] == "::" and where[0] == "0.0.0.0")))  # noqa: S104


def _has_port(sock: socket.socket, address: Address) -> bool:
    """Return whether a socket may be in the way of an address: it has the port, at another one of the machine's."""
    return not address.is_file and sock.family != socket.AF_UNIX and sock.getsockname()[1] == address.port


def _reason(problem: OSError, address: Address) -> str:
    if isinstance(problem, socket.gaierror):
        return f"{problem.strerror}: give an address of this machine, or a name that stands for one"
    ways_out = _UNIX_WAYS_OUT if address.is_file else _WAYS_OUT
    said = os.strerror(problem.errno).lower() if problem.errno and problem.errno > 0 else str(problem)
    return f"{said}: {ways_out.get(problem.errno or 0, 'give another')}"


def names(sockets: Iterable[socket.socket]) -> Iterator[tuple[str, int]]:
    """Yield where sockets listen: host and port, or path and 0."""
    for each in sockets:
        own = each.getsockname()
        yield (str(own), 0) if each.family == socket.AF_UNIX else (own[0], own[1])


def is_local(sock: socket.socket) -> bool:
    """Return whether only this machine reaches a socket, which is not of Unix."""
    return ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback
