"""The handshake of `<security>`: who sends proves that it has the shared key, and a user's password, and the other too.

HELO by the server, PING by the client, PONG by the server. Its rules: fluentd's plugin/in_forward.rb and
plugin/out_forward/handshake_protocol.rb.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgpack

from logpipe.builtin.forward_protocol.limits import FrameLimits, ProtocolError
from logpipe.codec import readable

HANDSHAKE_LIMITS: Final = FrameLimits(frame=16_384, tag=64)
"""For who has still to show that it may come."""
_SALT_BYTES: Final = 16
_PING: Final = 6
_PONG: Final = 5


class RefusedError(ProtocolError):
    """The other side has not shown what it must, or does not let us in."""


class Client(NamedTuple):
    """What holds for who connects."""

    shared_key: str
    users: Sequence[tuple[str, str]] | None = None
    """Names and passwords of whom it may come as; None where no user is asked for."""


class ServerHandshake:
    """The server's side of one connection.

    Args:
        hostname: `self_hostname`.
        user_auth: whether a user is asked for.
        keepalive: whether the connection may be used for more than one message.
    """

    def __init__(self, hostname: str, *, user_auth: bool = False, keepalive: bool = True) -> None:
        self._hostname = hostname
        self._nonce = secrets.token_bytes(_SALT_BYTES)
        self._auth_salt = secrets.token_bytes(_SALT_BYTES)
        self._user_auth = user_auth
        self._keepalive = keepalive

    def helo(self) -> bytes:
        """Return what is sent first."""
        # in_forward.rb sends this salt always, though no salt is what says that no user is asked for
        options = {
            "nonce": self._nonce,
            "auth": self._auth_salt if self._user_auth else b"",
            "keepalive": self._keepalive,
        }
        return _packed(["HELO", options])

    def answer(self, ping: bytes, client: Client) -> bytes:
        """Return the PONG that lets a client in.

        Args:
            ping: the frame that it has sent.
            client: what it has to prove.

        Raises:
            RefusedError: it does not; `refusal` makes what it is sent of the message.
            ProtocolError: that is no PING.
        """
        fields = _fields(ping, b"PING", _PING)
        hostname, salt, digest, username, password = fields
        # both are worked out whatever the first says, so that the time tells nothing
        has_key = _same(digest, _digest(salt, hostname, self._nonce, client.shared_key.encode()))
        if not has_key:
            raise RefusedError("shared_key mismatch")
        if client.users is not None and not self._is_user(username, password, client.users):
            raise RefusedError("username/password mismatch")
        ours = self._hostname.encode()
        proof = _digest(salt, ours, self._nonce, client.shared_key.encode())
        return _packed(["PONG", True, "", self._hostname, proof])

    def _is_user(self, username: bytes, given: bytes, users: Sequence[tuple[str, str]]) -> bool:
        found = False
        for name, password in users:
            expected = _digest(self._auth_salt, name.encode(), password.encode())
            found |= _same(username, name.encode()) & _same(given, expected)
        return found

    @staticmethod
    def refusal(reason: str) -> bytes:
        """Return the PONG for who is not let in."""
        return _packed(["PONG", False, reason, "", ""])


class ClientHandshake:
    """The client's side of one connection.

    Args:
        hostname: `self_hostname`.
        shared_key: what both have.
        username: who it comes as, where the server asks.
        password: the user's.
    """

    def __init__(self, hostname: str, shared_key: str, *, username: str = "", password: str = "") -> None:
        self._hostname = hostname
        self._key = shared_key.encode()
        self._username = username
        self._password = password
        self._salt = secrets.token_hex(_SALT_BYTES).encode()
        self._nonce = b""
        self.keepalive = True
        """Whether the server takes more than one message on the connection; after `ping`."""

    def ping(self, helo: bytes) -> bytes:
        """Return the answer to a server's HELO.

        Raises:
            ProtocolError: that is none.
        """
        value = _unpacked(helo)
        if not isinstance(value, list) or len(value) != 2 or value[0] != b"HELO":
            raise ProtocolError("received invalid helo message")
        options = value[1] if isinstance(value[1], dict) else {}
        self._nonce = _bytes(options.get(b"nonce"))
        auth = _bytes(options.get(b"auth"))
        self.keepalive = options.get(b"keepalive") is not False
        digest = _digest(self._salt, self._hostname.encode(), self._nonce, self._key)
        username, password = "", ""
        if auth:
            username, password = self._username, _digest(auth, self._username.encode(), self._password.encode())
        return _packed(["PING", self._hostname, self._salt.decode(), digest, username, password])

    def check(self, pong: bytes) -> None:
        """Check a server's PONG.

        Raises:
            RefusedError: it lets nobody in, or has not the shared key.
            ProtocolError: that is none.
        """
        allowed, reason, hostname, digest = _pong_of(pong)
        if not allowed:
            raise RefusedError(f"authentication failed: {readable(reason)}")
        if hostname == self._hostname.encode():
            raise RefusedError("same hostname between input and output: invalid configuration")
        if not _same(digest, _digest(self._salt, hostname, self._nonce, self._key)):
            raise RefusedError("shared key mismatch")


def _pong_of(pong: bytes) -> tuple[bool, bytes, bytes, bytes]:
    value = _unpacked(pong)
    if not isinstance(value, list) or len(value) != _PONG or value[0] != b"PONG":
        raise ProtocolError("invalid format for PONG message")
    return (value[1] is True, _bytes(value[2]), _bytes(value[3]), _bytes(value[4]))


def _fields(frame: bytes, name: bytes, count: int) -> list[bytes]:
    value = _unpacked(frame)
    if not isinstance(value, list) or len(value) != count or value[0] != name:
        raise ProtocolError(f"invalid {name.decode().lower()} message")
    return list(map(_bytes, value[1:]))


def _unpacked(frame: bytes) -> Any:
    """Return what a frame says, its texts as bytes: salts are often sent as texts that are not UTF-8."""
    try:
        return msgpack.unpackb(frame, raw=True, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as problem:
        raise ProtocolError(f"not MessagePack: {problem or type(problem).__name__}") from None


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def _same(given: bytes, expected: str | bytes) -> bool:
    """Compare in a time that does not tell where they differ."""
    return hmac.compare_digest(given, expected.encode() if isinstance(expected, str) else expected)
