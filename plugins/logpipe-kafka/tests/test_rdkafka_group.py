"""`@type rdkafka_group`: librdkafka's settings, read as ours."""

from __future__ import annotations

import json

import pytest

from logpipe import ConfigError
from logpipe.testing import check_plugin, configure, drive, wait_for
from logpipe_kafka.in_rdkafka_group import RdkafkaGroup, RdkafkaGroupOptions
from tests.services.mock_kafka import MockKafka
from tests.services.producing import committed, produce


def conf(**configs: object) -> str:
    """A configuration with these settings, whose dots are underscores."""
    given = {"group.id": "g", "bootstrap.servers": "b:9092"}
    given |= {name.replace("_", "."): str(value) for name, value in configs.items()}
    return f"topics t\nkafka_configs {json.dumps(given)}"


def options(**configs: object) -> RdkafkaGroupOptions:
    """The settings of that one."""
    read = configure(RdkafkaGroup, conf(**configs))
    assert isinstance(read, RdkafkaGroupOptions)
    return read


async def test_contract() -> None:
    """It promises what every plugin does."""
    await check_plugin(RdkafkaGroup, conf())


async def test_reading(mock: MockKafka) -> None:
    """It reads as kafka_group does, and commits."""
    await produce(mock.bootstrap, "t", b"a:1", b"a:2", headers=[("h", b"v")])
    configs = {"bootstrap_servers": mock.bootstrap, "auto_offset_reset": "earliest"}
    more = "\nadd_headers true\nmax_batch_size 1\nmax_wait_time_ms 10\n<parse>\n@type ltsv\n</parse>"
    async with drive(RdkafkaGroup, conf(**configs) + more) as stage:
        await wait_for(lambda: len(stage.events()) == 2, "the events")
        assert stage.records() == [{"a": "1", "h": "v"}, {"a": "2", "h": "v"}]
    assert await committed(mock.bootstrap, "g", "t") == [2]


def test_where_a_group_begins() -> None:
    """Where librdkafka does: behind the newest message, unless it is told otherwise."""
    assert options().consumer["auto_offset_reset"] == "latest"
    assert options(auto_offset_reset="smallest").consumer["auto_offset_reset"] == "earliest"


def test_numbers() -> None:
    """Those that have a meaning here are the consumer's."""
    found = options(session_timeout_ms=9000, fetch_min_bytes=7).consumer
    assert (found["session_timeout_ms"], found["heartbeat_interval_ms"], found["fetch_min_bytes"]) == (9000, 3000, 7)


def test_security() -> None:
    """TLS and SASL are those that security.protocol says."""
    user = {"sasl_username": "u", "sasl_password": "p"}
    plain = options(security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", **user)
    assert (plain.connection.protocol, plain.connection.sasl_mechanism) == ("SASL_PLAINTEXT", "PLAIN")
    scram = options(security_protocol="sasl_ssl", sasl_mechanisms="SCRAM-SHA-512", **user)
    assert (scram.connection.protocol, scram.connection.sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")
    assert options(ssl_ca_location="ca.pem").connection.protocol == "PLAINTEXT"
    named = options(security_protocol="ssl", ssl_ca_location="ca.pem", ssl_endpoint_identification_algorithm="none")
    assert (named.connection.ssl_ca_cert, named.connection.ssl_verify_hostname) == (["ca.pem"], False)


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ({"group_id": ""}, 'kafka_configs needs "group.id"'),
        ({"security_protocol": "tls"}, "security.protocol 'tls' is not known"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "sasl.mechanism 'OAUTHBEARER' is not spoken here"),
        ({"session_timeout_ms": "x"}, "session.timeout.ms 'x' is no number"),
        ({"security_protocol": "sasl_ssl", "sasl_mechanism": "PLAIN", "sasl_username": "u"}, "give both"),
    ],
)
def test_what_cannot_be_used(configs: dict[str, object], message: str) -> None:
    """It is a mistake."""
    with pytest.raises(ConfigError, match=message):
        options(**configs)
