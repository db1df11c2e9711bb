"""Settings of connection and security, common to all stages, and of acknowledgement, common to all outputs."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal

import orjson

from logpipe import InvalidSetting, Options, Seconds, Size, param

CODECS: Final = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""Kafka's number for each compression."""

NOT_USED: Final = "it has no effect here: remove it"
DEFAULT_ACK_SECONDS: Final = 30.0

_SCRAM: Final = {"sha256": "SCRAM-SHA-256", "sha512": "SCRAM-SHA-512"}
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?")


def unset_if_empty(text: str) -> str | None:
    """Return None for "", the value of `"#{ENV['X'] || nil}"` for a variable that is not set."""
    return text or None


def optional_integer(text: str) -> int | None:
    """Return a whole number, None for "".

    Raises:
        ValueError: it is neither.
    """
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number: write digits") from None


def listed(text: str) -> list[str]:
    """Return the items between commas, or of a JSON array, without white space and empty items."""
    found = text.split(",")
    if text.startswith("["):
        # An IPv6 address begins like a JSON array.
        with contextlib.suppress(orjson.JSONDecodeError):
            found = orjson.loads(text)
    return [str(item).strip() for item in found if str(item).strip()]


def _acks(text: str) -> int:
    if text.strip() in {"all", "-1", ""}:
        return -1
    if text.strip() in {"0", "1"}:
        return int(text)
    raise ValueError(f"{text!r} is not a setting of Kafka: write -1 (all replicas in sync), 1 (the leader) or 0 (none)")


def _codec(text: str) -> str | None:
    name = text.strip()
    # compat: `none` was the default in 2016, and "" comes from an environment variable that is not set
    if name in {"", "none"}:
        return None
    if name not in CODECS:
        raise ValueError(f"{text!r} is no codec: write one of {', '.join(CODECS)}, none")
    return name


def is_address(text: str) -> bool:
    """Return whether this is a possible address of a broker: `host`, `host:port`."""
    return _ADDRESS.fullmatch(text) is not None


class ConnectionOptions(Options):
    """Settings of every Kafka stage."""

    without_brokers: ClassVar[Literal["error", "warning"]] = "warning"
    """The severity of a missing broker: `"#{ENV['X']}"` in public configurations may be empty."""

    brokers: list[str] = param("Bootstrap brokers, `host:port,host:port`.", default="localhost:9092", convert=listed)
    client_id: str = param("Name of this client for the brokers.", default="kafka")
    ssl_ca_cert: list[str] = param("Files of the authorities to trust, PEM; enables TLS.", default=[], convert=listed)
    ssl_client_cert: str | None = param(
        "File of the client certificate, PEM; enables TLS.", default=None, convert=unset_if_empty
    )
    ssl_client_cert_key: str | None = param(
        "File of the client certificate's private key, PEM.", default=None, convert=unset_if_empty
    )
    ssl_client_cert_key_password: str | None = param(
        "Password of the private key.", default=None, convert=unset_if_empty, secret=True
    )
    ssl_client_cert_chain: str | None = param(
        "File of the client certificate's chain, PEM.", default=None, convert=unset_if_empty
    )
    ssl_ca_certs_from_system: bool = param(
        "Trust the system's authorities beside those of `ssl_ca_cert`; enables TLS.", default=False
    )
    ssl_verify_hostname: bool = param("Whether a broker's certificate must name its host.", default=True)
    principal: str | None = param("Kerberos principal; enables SASL GSSAPI.", default=None, convert=unset_if_empty)
    keytab: str | None = param("File of the principal's key.", default=None, convert=unset_if_empty)
    service_name: str | None = param(
        "Kerberos name of the brokers' service; unset: kafka.", default=None, convert=unset_if_empty
    )
    username: str | None = param("User for SASL PLAIN or SCRAM.", default=None, convert=unset_if_empty)
    password: str | None = param("The user's password.", default=None, convert=unset_if_empty, secret=True)
    scram_mechanism: str | None = param(
        "`sha256` or `sha512` for SASL SCRAM; unset: PLAIN.", default=None, convert=unset_if_empty
    )
    sasl_over_ssl: bool = param("Refuse to authenticate without TLS.", default=True)
    get_kafka_client_log: bool = param("Write aiokafka's own messages to the log.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield settings that contradict each other."""
        yield from self._broker_problems()
        yield from self._security_problems()

    def _broker_problems(self) -> Iterator[InvalidSetting]:
        if not self.brokers and self.needs_brokers:
            what = "" if self.without_brokers == "error" else ", and events wait for ever"
            message = f"brokers is empty{what}: write host:port"
            yield InvalidSetting(message, param="brokers", severity=self.without_brokers)
        for address in self.brokers:
            if not is_address(address):
                message = f"{address!r} is no address of a broker and is left out: write host:port"
                yield InvalidSetting(message, param="brokers", severity="warning")

    def _security_problems(self) -> Iterator[InvalidSetting]:
        if bool(self.ssl_client_cert) != bool(self.ssl_client_cert_key):
            missing = "ssl_client_cert_key" if self.ssl_client_cert else "ssl_client_cert"
            given = "ssl_client_cert" if self.ssl_client_cert else "ssl_client_cert_key"
            yield InvalidSetting(f"{given} needs {missing}: give both", param=given)
        for name in ("ssl_client_cert_chain", "ssl_client_cert_key_password"):
            if getattr(self, name) and not self.ssl_client_cert:
                yield InvalidSetting(f"{name} needs ssl_client_cert and ssl_client_cert_key: give them too", param=name)
        if bool(self.username) != bool(self.password):
            given = "username" if self.username else "password"
            yield InvalidSetting("username and password belong together: give both", param=given)
        if self.scram_mechanism and self._scram is None:
            message = f'scram_mechanism "{self.scram_mechanism}" is not known: write sha256 or sha512'
            yield InvalidSetting(message, param="scram_mechanism")
        if self.sasl_mechanism and self.sasl_over_ssl and not self.uses_tls:
            # compat: ruby-kafka's client.rb: "SASL authentication requires that SSL is configured"
            given = "username" if self.username else "principal"
            message = "SASL needs TLS: set ssl_ca_cert or ssl_ca_certs_from_system, or sasl_over_ssl false"
            yield InvalidSetting(message, param=given)
        if self.sasl_mechanism == "GSSAPI" and importlib.util.find_spec("gssapi") is None:
            message = "principal needs the gssapi package: pip install 'logpipe-kafka[kerberos]'"
            yield InvalidSetting(message, param="principal")

    @property
    def _scram(self) -> str | None:
        plain = (self.scram_mechanism or "").lower().replace("-", "").removeprefix("scram")
        return _SCRAM.get(plain)

    @property
    def sasl_mechanism(self) -> str:
        """The SASL mechanism, "" for none; chosen in ruby-kafka's order."""
        if self.username and self.password:
            return self._scram or "PLAIN"
        return "GSSAPI" if self.principal else ""

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return bool(self.ssl_ca_cert or self.ssl_client_cert or self.ssl_ca_certs_from_system)

    @property
    def protocol(self) -> str:
        """Kafka's name of the security protocol."""
        if self.sasl_mechanism:
            return "SASL_SSL" if self.uses_tls else "SASL_PLAINTEXT"
        return "SSL" if self.uses_tls else "PLAINTEXT"

    @property
    def needs_brokers(self) -> bool:
        """Whether `brokers` is the only source of addresses."""
        return True


class ClusterOptions(ConnectionOptions):
    """Settings of every Kafka output."""

    required_acks: int = param(
        "Which replicas must have written a message before it counts as delivered: -1 (or `all`) all in sync, 1 the "
        "leader, 0 none, which can lose events.",
        default=-1,
        convert=_acks,
    )
    ack_timeout: Seconds | None = param("Time that the leader may wait for its replicas; unset: 30 s.", default=None)
    compression_codec: str | None = param(
        "Compression of batches: `gzip`, `snappy`, `lz4`, `zstd` or `none`.", default=None, convert=_codec
    )
    max_send_retries: int = param(
        "How many more attempts, a second apart, until a chunk goes back to its buffer, or events that a topic refuses "
        "go to `@ERROR`; without a buffer, temporary failures are retried without limit.",
        default=2,
    )
    max_send_limit_bytes: Size | None = param(
        "Largest payload; a larger one goes to `@ERROR`. Unset or 0: the topic's limit.", default=None
    )
    idempotent: bool = param("Let the brokers drop duplicates from this producer.", default=False)
    active_support_notification_regex: str | None = param(
        "Accepted for compatibility; logpipe's own metrics say how much was sent.", default=None, deprecated=NOT_USED
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield settings that contradict each other."""
        yield from super().check()
        if self.idempotent and self.required_acks != -1:
            # Brokers refuse such requests.
            message = f"idempotent true needs required_acks -1, and it is {self.required_acks}: change one of them"
            yield InvalidSetting(message, param="idempotent")

    @property
    def codec(self) -> int:
        """Kafka's number for the compression, 0 for none."""
        return CODECS[self.compression_codec] if self.compression_codec else 0

    @property
    def ack_seconds(self) -> float:
        """The seconds that the leader may wait for its replicas."""
        return float(self.ack_timeout) if self.ack_timeout else DEFAULT_ACK_SECONDS
