"""`@type rdkafka_group`: kafka_group with librdkafka's names of settings. in_rdkafka_group.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from logpipe import InputHost, InvalidSetting, param
from logpipe_kafka.cluster_options import ConnectionOptions, listed
from logpipe_kafka.consumer.group import GroupInput
from logpipe_kafka.consumer.options import GroupOptions

_ADDRESSES: Final = ("bootstrap.servers", "metadata.broker.list")
_NUMBERS: Final = {
    "session.timeout.ms": "session_timeout_ms",
    "heartbeat.interval.ms": "heartbeat_interval_ms",
    "max.partition.fetch.bytes": "max_partition_fetch_bytes",
    "fetch.message.max.bytes": "max_partition_fetch_bytes",
    "fetch.max.bytes": "fetch_max_bytes",
    "fetch.min.bytes": "fetch_min_bytes",
    "fetch.wait.max.ms": "fetch_max_wait_ms",
    "topic.metadata.refresh.interval.ms": "metadata_max_age_ms",
    "metadata.max.age.ms": "metadata_max_age_ms",
}
_TEXTS: Final = {
    "group.instance.id": "group_instance_id",
    "isolation.level": "isolation_level",
    "client.rack": "client_rack",
}
_FIRST: Final = {"smallest": "earliest", "earliest": "earliest", "beginning": "earliest"}
_OTHERS: Final = frozenset(
    {
        *_ADDRESSES,
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "client.id",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "group.id",
        "sasl.kerberos.keytab",
        "sasl.kerberos.principal",
        "sasl.kerberos.service.name",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.key.password",
    }
)
_PROTOCOLS: Final = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")


class RdkafkaGroupOptions(GroupOptions):
    """Settings of `@type rdkafka_group`."""

    kafka_configs: dict[str, str] = param(
        'librdkafka\'s settings as JSON: `{"bootstrap.servers": "host:9092", "group.id": "name"}`; `brokers`, `ssl_…`, '
        "`username` and the like are used where it has none of theirs.",
        default={},
        secret=True,
    )
    max_wait_time_ms: int = param("How long a broker waits for messages.", default=250)
    max_batch_size: int = param("Most messages that are emitted at a time.", default=10_000)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is missing, or has no effect."""
        configs = self.kafka_configs
        if not configs.get("group.id"):
            yield InvalidSetting(
                'kafka_configs needs "group.id": write the name of the consumer group', param="kafka_configs"
            )
        if (protocol := configs.get("security.protocol", "")).lower() not in {"", *_PROTOCOLS}:
            message = f"security.protocol {protocol!r} is not known: write one of {', '.join(_PROTOCOLS)}"
            yield InvalidSetting(message, param="kafka_configs")
        if (mechanism := self._mechanism) not in _MECHANISMS:
            message = f"sasl.mechanism {mechanism!r} is not spoken here: write one of {', '.join(_MECHANISMS)}"
            yield InvalidSetting(message, param="kafka_configs")
        for name in _NUMBERS.keys() | {"auto.commit.interval.ms"}:
            if not str(configs.get(name, "1")).isdecimal():
                yield InvalidSetting(f"{name} {configs[name]!r} is no number", param="kafka_configs")
        for name in configs.keys() - _NUMBERS.keys() - _TEXTS.keys() - _OTHERS:
            message = f'"{name}" has no effect, logpipe does not use librdkafka: remove it'
            yield InvalidSetting(message, param="kafka_configs", severity="warning")
        if self.max_batch_size < 1:
            yield InvalidSetting("max_batch_size must be 1 or more", param="max_batch_size")
        for problem in super().check():
            invalid = problem if isinstance(problem, InvalidSetting) else InvalidSetting(problem)
            if invalid.param != "brokers":
                yield invalid
        for problem in self.connection.check():
            invalid = problem if isinstance(problem, InvalidSetting) else InvalidSetting(problem)
            yield InvalidSetting(str(invalid), param="kafka_configs", severity=invalid.severity)

    @property
    def _mechanism(self) -> str:
        configs = self.kafka_configs
        return (configs.get("sasl.mechanism") or configs.get("sasl.mechanisms") or "GSSAPI").upper()

    @property
    def connection(self) -> ConnectionOptions:
        """How brokers are reached."""
        configs = self.kafka_configs
        given: dict[str, Any] = {name: getattr(self, name) for name in ConnectionOptions.settings()}
        addresses = ",".join(filter(None, (configs.get(name) for name in _ADDRESSES)))
        given |= {"client_id": configs.get("client.id", "rdkafka")}
        if addresses:
            given["brokers"] = listed(addresses)
        protocol = configs.get("security.protocol", "").lower()
        if not protocol:
            return ConnectionOptions(**given)
        given |= {
            "ssl_ca_cert": [],
            "ssl_client_cert": None,
            "ssl_client_cert_key": None,
            "ssl_ca_certs_from_system": False,
        }
        given |= {"username": None, "password": None, "principal": None, "sasl_over_ssl": False}
        if protocol.endswith("ssl"):
            location = configs.get("ssl.ca.location")
            given |= {
                "ssl_ca_cert": [location] if location else [],
                "ssl_ca_certs_from_system": not location,
                "ssl_client_cert": configs.get("ssl.certificate.location"),
                "ssl_client_cert_key": configs.get("ssl.key.location"),
                "ssl_client_cert_key_password": configs.get("ssl.key.password"),
                "ssl_verify_hostname": configs.get("ssl.endpoint.identification.algorithm", "https") != "none",
            }
        if protocol.startswith("sasl"):
            if self._mechanism == "GSSAPI":
                given |= {
                    "principal": configs.get("sasl.kerberos.principal", "kafkaclient"),
                    "keytab": configs.get("sasl.kerberos.keytab"),
                    "service_name": configs.get("sasl.kerberos.service.name"),
                }
            else:
                given |= {"username": configs.get("sasl.username"), "password": configs.get("sasl.password")}
                given["scram_mechanism"] = self._mechanism if self._mechanism != "PLAIN" else None
        return ConnectionOptions(**given)

    @property
    def consumer(self) -> dict[str, Any]:
        """The consumer's arguments for the group and for fetching."""
        configs = self.kafka_configs
        found: dict[str, Any] = {
            "group_id": configs.get("group.id"),
            # compat: librdkafka begins with messages that come from now on
            "auto_offset_reset": _FIRST.get(configs.get("auto.offset.reset", ""), "latest"),
            "session_timeout_ms": 45_000,
            "fetch_max_wait_ms": max(1, self.max_wait_time_ms),
        }
        found |= {argument: configs[name] for name, argument in _TEXTS.items() if name in configs}
        found |= {argument: int(configs[name]) for name, argument in _NUMBERS.items() if name in configs}
        found.setdefault("heartbeat_interval_ms", min(3000, found["session_timeout_ms"] // 3))
        return found


class RdkafkaGroup(GroupInput[RdkafkaGroupOptions], type="rdkafka_group"):
    """The same as kafka_group, with librdkafka's settings in `kafka_configs`.

    Offsets are committed when nothing before them is owed, whatever `enable.auto.commit` says: there, librdkafka
    commits what it has handed out.
    """

    def __init__(self, options: RdkafkaGroupOptions, host: InputHost) -> None:
        consumer = options.consumer
        # compat: the message of in_rdkafka_group.rb
        host.log.info(
            "Will watch for topics %s at brokers %s and '%s' group",
            options.topics,
            options.connection.brokers,
            consumer["group_id"],
        )
        interval = options.kafka_configs.get("auto.commit.interval.ms")
        super().__init__(
            options,
            host,
            consumer=consumer,
            connection=options.connection,
            messages=options.max_batch_size,
            commit_seconds=int(interval) / 1000 if interval else None,
        )
