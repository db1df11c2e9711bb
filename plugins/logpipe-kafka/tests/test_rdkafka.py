"""`@type rdkafka` and `@type rdkafka2`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from logpipe import ConfigError, Plugin
from logpipe.testing import check_plugin, configure, drive, wait_for
from logpipe_kafka.out_rdkafka import Rdkafka2Output, RdkafkaOutput
from tests.services.mock_kafka import Error, MockKafka
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]

BUFFER = "<buffer topic>\nflush_mode immediate\n</buffer>"


@pytest.mark.parametrize("cls", [RdkafkaOutput, Rdkafka2Output])
async def test_contract(cls: type[Plugin[Any]]) -> None:
    """Both do what every plugin promises."""
    await check_plugin(cls)


async def test_rdkafka(mock: MockKafka, read: Read) -> None:
    """It delivers as kafka_buffered does; librdkafka's settings are warned about."""
    conf = f"brokers {mock.bootstrap}\nflush_interval 0.05\nrdkafka_buffering_max_ms 10\noutput_include_tag true"
    async with drive(RdkafkaOutput, conf) as stage:
        (warning,) = stage.warnings
        await stage.feed("app", {"n": 1})
        await stage.flush()

    assert "rdkafka_buffering_max_ms" in warning.message
    assert [json.loads(message.value or b"") for message in await read("app")] == [{"n": 1, "tag": "app"}]


async def test_rdkafka2(mock: MockKafka, read: Read) -> None:
    """It delivers as kafka2 does."""
    async with drive(Rdkafka2Output, f"brokers {mock.bootstrap}\n{BUFFER}") as stage:
        await stage.feed("app", {"topic": "t", "n": 1})
        await stage.flush()

    assert [message.value for message in await read("t")] == [b'{"topic":"t","n":1}']


async def test_discard_by_pattern(mock: MockKafka) -> None:
    """An error that matches throws the chunk away, counted."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    conf = (
        f"brokers {mock.bootstrap}\nmax_send_retries 0\ndiscard_kafka_delivery_failed_regex /unknown_topic/i\n{BUFFER}"
    )
    async with drive(Rdkafka2Output, conf) as stage:
        await stage.feed("app", {"topic": "missing"})
        await wait_for(lambda: stage.metric("discarded_records") == 1, "the chunk to be thrown away")


@pytest.mark.parametrize("name", ["output_data_type json", "output_include_tag true", "output_include_time true"])
def test_removed(name: str) -> None:
    """rdkafka2 refuses what it has sections for, as fluentd does."""
    with pytest.raises(ConfigError, match="was removed"):
        configure(Rdkafka2Output, name)


def test_password_without_tls() -> None:
    """Outputs on librdkafka authenticate without TLS too."""
    options: Any = configure(RdkafkaOutput, "username u\npassword p")

    assert not options.sasl_over_ssl


async def test_events_for_a_partition_that_is_not_there_are_refused_without_a_growing_pause(mock: MockKafka) -> None:
    """The pauses are for a partition that fails: this one is no reason to wait, however often it is named."""
    buffer = "<buffer>\nflush_mode immediate\nchunk_limit_records 1\n</buffer>"
    conf = f"brokers {mock.bootstrap}\ndefault_topic t\n{buffer}"
    async with drive(RdkafkaOutput, conf) as stage:
        for number in range(40):
            await stage.feed("app", {"n": number, "partition": 1_000_000})
        await stage.wait_for(lambda: len(stage.errors) == 40)
    assert {str(error) for *_, error in stage.errors} == {"topic t has no partition 1000000"}
