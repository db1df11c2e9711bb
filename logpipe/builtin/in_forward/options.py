"""The settings of the forward input. Names and rules: fluentd's plugin/in_forward.rb."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from logpipe import InvalidSetting, Options, Seconds, Size, param, section
from logpipe.net import TransportOptions, refuse_others

_HIGHEST_PORT = 65535


class UserOptions(Options):
    """`<user>`."""

    _refuses_unknown = True

    username: str = param("Name of a user.")
    password: str = param("The user's password.", secret=True)


class ClientOptions(Options):
    """`<client>`."""

    _refuses_unknown = True

    host: str | None = param("Address or name of a client; a name is looked up at the start.", default=None)
    network: str | None = param("Network of clients, such as 10.0.0.0/8; in the place of `host`.", default=None)
    shared_key: str | None = param("Key of these clients, in the place of that for all.", default=None, secret=True)
    users: list[str] = param("Users that may come from there; all where it is empty.", default=[])

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what makes no place."""
        if self.host and self.network:
            yield InvalidSetting("both of 'host' and 'network' are specified for client: leave one", param="network")
        if not self.host and not self.network:
            yield "either of 'host' and 'network' must be specified for client"
        if self.network:
            try:
                ipaddress.ip_network(self.network, strict=False)
            except ValueError:
                yield InvalidSetting(
                    f"network '{self.network}' address format is invalid: write 10.0.0.0/8", param="network"
                )


class SecurityOptions(Options):
    """`<security>`."""

    _refuses_unknown = True

    self_hostname: str = param("Name of this server in the handshake; no client may have the same.")
    shared_key: str = param("Key that clients must have.", secret=True)
    user_auth: bool = param("Ask clients for a user's name and password, too.", default=False)
    allow_anonymous_source: bool = param(
        "Let clients in from anywhere; false lets in those alone whose address is in a `<client>`.", default=True
    )
    users: list[UserOptions] = section("A user, for `user_auth`.", name="user", many=True)
    clients: list[ClientOptions] = section("Clients of one address or network.", name="client", many=True)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what would let nobody in, or everybody."""
        if not self.shared_key:
            yield InvalidSetting("shared_key is empty: write one that is hard to guess", param="shared_key")
        if self.user_auth and not self.users:
            yield InvalidSetting("<user> sections required if user_auth enabled: add them", param="user_auth")
        if not self.allow_anonymous_source and not self.clients:
            message = "<client> sections required if allow_anonymous_source disabled: add them"
            yield InvalidSetting(message, param="allow_anonymous_source")
        known = {user.username for user in self.users}
        for client in self.clients:
            if unknown := [name for name in client.users if name not in known]:
                yield f"<client> names the user {unknown[0]}, of whom there is no <user>: add one"


class ForwardOptions(Options):
    """Settings of `<source> @type forward`."""

    port: int = param(
        "Port to listen on, for connections and for heartbeats by UDP. 0 takes any free one.", default=24224
    )
    bind: str = param(
        "Address to listen on.",
        default="0.0.0.0",  # noqa: S104 - fluentd's, and `logpipe check` warns of it
    )
    backlog: int | None = param(
        "How many connections may wait to be accepted; unset: 1024. The kernel has a limit of its own.", default=None
    )
    linger_timeout: int | None = param(
        "The same in `<transport>`.", default=None, deprecated="write it into <transport>"
    )
    blocking_timeout: Seconds = param(
        "How often fluentd's loop looks up.", default=0.5, no_effect="nothing here waits so"
    )
    resolve_hostname: bool | None = param(
        "Look up the names of clients, for messages and `source_hostname_key`, which needs it.", default=None
    )
    deny_keepalive: bool = param("Close each connection behind its first message.", default=False)
    send_keepalive_packet: bool = param("Have the kernel find out when a client is gone (SO_KEEPALIVE).", default=False)
    chunk_size_warn_limit: Size | None = param("Size of a message above which a warning is logged.", default=None)
    chunk_size_limit: Size | None = param(
        "Size of a message above which it is dropped, with a warning and without an acknowledgement; unset: 272m, as "
        "fluentd's largest chunks are 256m.",
        default=None,
    )
    decompression_size_limit: Size = param(
        "Size of a message's events, decompressed, above which it is refused and its connection closed.", default="256m"
    )
    skip_invalid_event: bool = param(
        "Leave what is no event out of its message.",
        default=True,
        no_effect="what is no event is an error event, as a record is a map here, and the others are taken in any case",
    )
    source_address_key: str | None = param("Field for the address that an event came from.", default=None)
    source_hostname_key: str | None = param("Field for the name of the host that an event came from.", default=None)
    tag: str | None = param("Tag of all events, in the place of theirs.", default=None)
    add_tag_prefix: str | None = param("What is put before tags, with a dot.", default=None)
    security: SecurityOptions | None = section("Who may send: a handshake by a shared key, and by users.")
    transport: TransportOptions = section("Whether TLS is spoken, and who is let in.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what contradicts itself, or cannot be."""
        if not 0 <= self.port <= _HIGHEST_PORT:
            yield InvalidSetting(f"port must be from 0 to {_HIGHEST_PORT}", param="port")
        if self.source_hostname_key and self.resolve_hostname is False:
            yield InvalidSetting("resolve_hostname must be true with source_hostname_key", param="resolve_hostname")
        if self.tag == "":
            yield InvalidSetting("'tag' parameter must not be empty: leave it out, or write one", param="tag")
        if self.add_tag_prefix == "":
            message = "'add_tag_prefix' parameter must not be empty: leave it out, or write one"
            yield InvalidSetting(message, param="add_tag_prefix")
        if self.send_keepalive_packet and self.deny_keepalive:
            message = "both 'send_keepalive_packet' and 'deny_keepalive' cannot be set to true: leave one"
            yield InvalidSetting(message, param="send_keepalive_packet")
        for name in ("backlog", "chunk_size_limit", "chunk_size_warn_limit", "decompression_size_limit"):
            if (value := getattr(self, name)) is not None and value <= 0:
                yield InvalidSetting(f"{name} must be more than 0", param=name)
        yield from refuse_others(self.transport, ("tcp", "tls"))
