"""Settings as users write them, environment variables that are not set included."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ConfigError, InvalidSetting, Plugin
from logpipe.testing import FakeHost, check_plugin, configure, drive, wait_for
from logpipe_kafka.cluster.brokers import FixedBrokers
from logpipe_kafka.out_kafka import KafkaOutput
from logpipe_kafka.out_kafka2 import Kafka2Output
from logpipe_kafka.out_kafka_buffered import KafkaBufferedOutput

EVERY = (KafkaOutput, KafkaBufferedOutput, Kafka2Output)


@pytest.mark.parametrize("cls", EVERY)
async def test_contract(cls: type[Plugin[Any]]) -> None:
    """Each output does what every plugin promises."""
    await check_plugin(cls)


@pytest.mark.parametrize("cls", EVERY)
def test_empty_is_unset(cls: type[Plugin[Any]]) -> None:
    """What "#{ENV['X'] || nil}" leaves of a variable that is not set changes no default."""
    names = [
        "default_topic",
        "default_message_key",
        "default_partition_key",
        "default_partition",
        "ack_timeout",
        "compression_codec",
        "max_send_limit_bytes",
        "required_acks",
        "username",
        "password",
        "principal",
        "keytab",
        "scram_mechanism",
        "ssl_ca_cert",
        "ssl_client_cert",
        "ssl_client_cert_key",
        "ssl_client_cert_key_password",
        "ssl_client_cert_chain",
    ]
    plain = configure(cls)
    empty = configure(cls, "".join(f'{name} ""\n' for name in names))

    for name in names:
        assert not getattr(empty, name) or getattr(empty, name) == getattr(plain, name), name
    assert empty.ack_seconds == plain.ack_seconds == 30.0  # type: ignore[attr-defined]  # of Kafka's options


@pytest.mark.parametrize(
    ("body", "seconds"),
    [("ack_timeout_ms 1500", 1.5), ("ack_timeout 2", 2.0), ("ack_timeout 2\nack_timeout_ms 500", 2.0), ("", 30.0)],
)
def test_ack_timeout(body: str, seconds: float) -> None:
    """The leader's patience, in seconds or in 2016's milliseconds."""
    options: Any = configure(KafkaOutput, body)

    assert options.ack_seconds == seconds


@pytest.mark.parametrize(
    ("text", "brokers"),
    [
        ("a:1", ["a:1"]),
        ("a:1, b:2 ,c", ["a:1", "b:2", "c"]),
        ('["a:1","b:2"]', ["a:1", "b:2"]),
        ("'[::1]:9092'", ["[::1]:9092"]),
        ("10.0.0.1:9092,", ["10.0.0.1:9092"]),
    ],
)
def test_brokers(text: str, brokers: list[str]) -> None:
    """Brokers are a list between commas, or a JSON array."""
    options: Any = configure(KafkaOutput, f"brokers {text}")
    assert options.brokers == brokers


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("required_acks 2", "\"required_acks\": '2' is not a setting of Kafka: write -1 (all replicas in sync)"),
        ("compression_codec lzma", "'lzma' is no codec: write one of gzip, snappy, lz4, zstd, none"),
        ("default_partition one", "'one' is not a whole number: write digits"),
        ("default_partition -1", "default_partition must be 0 or more"),
        ("zookeeper_path brokers", 'zookeeper_path "brokers" must begin with a slash, like /brokers/ids'),
        ("idempotent true\nrequired_acks 1", "idempotent true needs required_acks -1, and it is 1: change one of them"),
        ("partitioner_hash_function md5", "partitioner_hash_function"),
    ],
)
def test_mistakes(body: str, message: str) -> None:
    """Mistakes are found when the settings are read, with what to write instead."""
    with pytest.raises(ConfigError) as caught:
        configure(KafkaOutput, body)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("brokers", "complaint", "reminder"),
    [
        (
            "<broker1_host>:<broker1_port>",
            "'<broker1_host>:<broker1_port>' is no address of a broker and is left out: write host:port",
            "brokers names no broker (<broker1_host>:<broker1_port>), so that events wait",
        ),
        ('""', "brokers is empty, and events wait for ever: write host:port", "brokers names no broker (it is empty)"),
    ],
)
async def test_no_broker(brokers: str, complaint: str, reminder: str) -> None:
    """Without an address the settings are read with a warning, and the output says that events wait."""
    options: Any = configure(KafkaBufferedOutput, f"brokers {brokers}")
    (problem,) = [found for found in options.check() if isinstance(found, InvalidSetting)]
    assert (str(problem), problem.severity, problem.param) == (complaint, "warning", "brokers")

    async with drive(KafkaBufferedOutput, f"brokers {brokers}") as stage:
        await wait_for(lambda: any(reminder in text for text in stage.log.texts()), "the reminder")


async def test_one_broker_of_two() -> None:
    """What is no address is left out, and the others are asked."""
    brokers = FixedBrokers(["<placeholder>:1", "a:1"], FakeHost())

    assert await brokers.addresses() == ["a:1"]


def test_brokers_and_zookeeper() -> None:
    """Where ZooKeeper says who the brokers are, none need to be written."""
    options: Any = configure(KafkaOutput, 'brokers ""\nzookeeper a:2181')
    assert list(options.check()) == []


async def test_unknown_formatter() -> None:
    """An output_data_type that is neither ours nor a formatter's name is a mistake with its place."""
    with pytest.raises(ConfigError, match=r"test\.conf:3:\d+: error: .*nonsense"):
        async with drive(KafkaOutput, "output_data_type nonsense"):
            pass


async def test_2016() -> None:
    """A section as it was written in 2016 is read without an error; what has no effect any more is said."""
    body = """
      zookeeper 127.0.0.1:1
      default_topic default
      output_data_type json
      output_include_tag  false
      output_include_time false
      max_send_retries  3
      required_acks 0
      ack_timeout_ms  1500
      compression_codec none
      max_buffer_size 1000
    """
    async with drive(KafkaOutput, body) as stage:
        warnings = [warning.message for warning in stage.warnings]

    assert len(warnings) == 2
    assert "ack_timeout_ms" in warnings[0]
    assert "max_buffer_size" in warnings[1]
