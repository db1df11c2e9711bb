"""`@type kafka`: what goes where, and when it counts as delivered."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from logpipe import Receipt, Record
from logpipe.testing import Pipeline, drive, wait_for
from logpipe_kafka.messages.partitioner import murmur2
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services.mock_kafka import MockKafka, Request
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]

TIME = 1_466_000_000_123_456_789


async def feed(stage: Pipeline, *records: Record, tag: str = "app.web") -> None:
    """Feed a batch and wait until its receipt has settled."""
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    await stage.feed(tag, *records, times=[TIME] * len(records), receipt=receipt)
    receipt.release()
    await wait_for(lambda: settled, "the receipt to settle")


def values(messages: list[Message]) -> list[Any]:
    """Return the payloads, read as JSON."""
    return [json.loads(message.value or b"null") for message in messages]


async def test_topic_of_each_event(mock: MockKafka, read: Read) -> None:
    """The record's topic comes first, then the default topic."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic other") as stage:
        await feed(stage, {"topic": "a", "n": 1}, {"n": 2}, {"topic": None, "n": 3}, {"topic": False, "n": 4})

    assert values(await read("a")) == [{"topic": "a", "n": 1}]
    assert sorted(value["n"] for value in values(await read("other"))) == [2, 3, 4]


async def test_tag_is_the_last_resort(mock: MockKafka, read: Read) -> None:
    """Without topic and default topic, or with an empty default topic, the tag is the topic."""
    async with drive(KafkaOutput, f'brokers {mock.bootstrap}\ndefault_topic ""') as stage:
        await feed(stage, {"n": 1}, tag="app.web")

    assert values(await read("app.web")) == [{"n": 1}]


@pytest.mark.parametrize("topic", ["", "a b", "..", ".", "ä", "x" * 250, "a/b", 7, ["a"], True])
async def test_impossible_topic(mock: MockKafka, read: Read, topic: Any) -> None:
    """An event whose topic can't be goes to @ERROR with the reason, and the rest of its batch is delivered."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}") as stage:
        await feed(stage, {"topic": "a", "n": 1}, {"topic": topic, "n": 2}, {"topic": "a", "n": 3})

        ((_, _, record, error),) = stage.errors

    assert record == {"topic": topic, "n": 2}
    assert "topic" in str(error)
    assert [value["n"] for value in values(await read("a"))] == [1, 3]


async def test_receipt_settles_when_confirmed(mock: MockKafka) -> None:
    """A batch counts as delivered when a broker has answered, not when it was taken."""
    mock.stop_broker()
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}") as stage:
        settled: list[bool] = []
        receipt = Receipt(lambda: settled.append(True))
        await stage.feed("a", {"n": 1}, {"n": 2}, receipt=receipt)
        receipt.release()
        await wait_for(lambda: stage.log.texts("warning"), "the brokers to be missed")
        assert not settled

        mock.start_broker()
        await wait_for(lambda: settled, "the receipt to settle")


async def test_output_include_writes_into_the_record(mock: MockKafka, read: Read) -> None:
    """Tag and time overwrite fields of the record, before the topic is read."""
    conf = f"brokers {mock.bootstrap}\noutput_include_tag true\noutput_include_time true"
    async with drive(KafkaOutput, conf) as stage:
        await feed(stage, {"tag": "x", "n": 1})

    assert values(await read("app.web")) == [{"tag": "app.web", "n": 1, "time": TIME // 10**9}]


async def test_time_format(mock: MockKafka, read: Read) -> None:
    """The included time can be text."""
    conf = f"brokers {mock.bootstrap}\noutput_include_time true\ntime_format %Y %L"
    async with drive(KafkaOutput, conf) as stage:
        await feed(stage, {})

    assert values(await read("app.web")) == [{"time": "2016 123"}]


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("output_data_type json", b'{"topic":"t","a":1,"b":null}'),
        ("output_data_type ltsv", b"topic:t\ta:1\tb:"),
        ("output_data_type msgpack", b"\x83\xa5topic\xa1t\xa1a\x01\xa1b\xc0"),
        ("output_data_type attr:a, b,topic", b"1\t\tt"),
        ("output_data_type attr:a\noutput_include_tag true\noutput_include_time true", b"app.web\t1466000000\t1"),
        ("output_data_type single_value\nmessage_key topic\nadd_newline false", b"t"),
        ("output_data_type single_value\nmessage_key topic", b"t\n"),
    ],
)
async def test_payload(mock: MockKafka, read: Read, conf: str, expected: bytes) -> None:
    """`output_data_type` names what a message holds; a formatter reads its parameters beside it."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\n{conf}") as stage:
        await feed(stage, {"topic": "t", "a": 1, "b": None})

        assert not [warning for warning in stage.warnings if "not used" in warning.message]
    assert [message.value for message in await read("t")] == [expected]


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("output_data_type json", b'{"a":"caf\xef\xbf\xbd","b":[1]}'),
        ("output_data_type ltsv", b"a:caf\xe9\tb:[1]"),
        ("output_data_type msgpack", b"\x82\xa1a\xa4caf\xe9\xa1b\x91\x01"),
        ("output_data_type attr:a,b", b"caf\xe9\t[1]"),
        ("output_data_type single_value\nmessage_key a\nadd_newline false", b"caf\xe9"),
    ],
)
async def test_text_that_is_not_utf8(mock: MockKafka, read: Read, conf: str, expected: bytes) -> None:
    """It goes as it came, in msgpack as a text; JSON has U+FFFD in its place, and that is counted."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t\n{conf}") as stage:
        await feed(stage, {"a": b"caf\xe9", "b": [1]})

        assert stage.metric("replaced_texts") == ("json" in conf)
    assert [message.value for message in await read("t")] == [expected]


async def test_records_that_orjson_refuses(mock: MockKafka, read: Read) -> None:
    """Large integers, lone surrogates, bytes and odd keys are delivered in their place in the batch."""
    odd = {"big": 2**70, "lone": "\ud800", "bytes": b"\xff", "nan": float("nan")}
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t\ndefault_partition 0") as stage:
        await feed(stage, {"n": 1}, odd, {"n": 2})
        await feed(stage, {"n": 3}, {1: 2})  # type: ignore[dict-item]  # what a plugin may do wrong

    assert [message.value for message in await read("t")] == [
        b'{"n":1}',
        b'{"big":1180591620717411303424,"lone":"\\ud800","bytes":"\xef\xbf\xbd","nan":null}',
        b'{"n":2}',
        b'{"n":3}',
        b'{"1":2}',
    ]


async def test_record_that_cannot_be_written(mock: MockKafka, read: Read) -> None:
    """A record without end goes to @ERROR, and the rest of its batch is delivered."""
    endless: Record = {}
    endless["self"] = endless
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t") as stage:
        await feed(stage, {"n": 1}, endless, {"n": 2})

        ((_, _, _, error),) = stage.errors

    assert "cannot be written as JSON" in str(error)
    assert [value["n"] for value in values(await read("t"))] == [1, 2]


async def test_named_partition(mock: MockKafka, read: Read) -> None:
    """The field `partition` names it, as a number or as digits; else default_partition does."""
    mock.create_topic("t", partitions=4)
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t\ndefault_partition 3") as stage:
        await feed(stage, {"partition": 1}, {"partition": "2"}, {"n": 0}, {"partition": 0})

    assert {message.value: message.partition for message in await read("t")} == {
        b'{"partition":1}': 1,
        b'{"partition":"2"}': 2,
        b'{"n":0}': 3,
        b'{"partition":0}': 0,
    }


@pytest.mark.parametrize("partition", [-1, "one", 1.5, True, 99])
async def test_impossible_partition(mock: MockKafka, read: Read, partition: Any) -> None:
    """An event for a partition that can't be, or is not there, goes to @ERROR; the rest is delivered."""
    mock.create_topic("t", partitions=4)
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t") as stage:
        await feed(stage, {"n": 1}, {"partition": partition}, {"n": 2})
        await wait_for(lambda: stage.errors, "the dead letter")

        ((_, _, record, error),) = stage.errors

    assert record == {"partition": partition}
    assert "partition" in str(error)
    assert sorted(value["n"] for value in values(await read("t"))) == [1, 2]


@pytest.mark.parametrize(("name", "function"), [("crc32", zlib.crc32), ("murmur2", murmur2)])
async def test_key_chooses_the_partition(
    mock: MockKafka, read: Read, name: str, function: Callable[[bytes], int]
) -> None:
    """The partition key is hashed, or else the message's key, as ruby-kafka does."""
    mock.create_topic("t", partitions=7)
    conf = f"brokers {mock.bootstrap}\ndefault_topic t\npartitioner_hash_function {name}"
    keys = [f"key-{number}" for number in range(20)]
    async with drive(KafkaOutput, conf) as stage:
        await feed(stage, *({"message_key": key} for key in keys))
        await feed(stage, *({"message_key": "same", "partition_key": key} for key in keys))

    messages = await read("t")
    assert len(messages) == 40
    for message in messages:
        record = json.loads(message.value or b"")
        chosen = record.get("partition_key", record["message_key"])
        assert message.partition == function(chosen.encode()) % 7
        assert message.key == record["message_key"].encode()


async def test_default_keys(mock: MockKafka, read: Read) -> None:
    """default_message_key and default_partition_key stand in for fields that are not there."""
    mock.create_topic("t", partitions=7)
    conf = f"brokers {mock.bootstrap}\ndefault_topic t\ndefault_message_key k\ndefault_partition_key p"
    async with drive(KafkaOutput, conf) as stage:
        await feed(stage, {"n": 1}, {"n": 2, "message_key": 5})

    messages = await read("t")
    assert [message.key for message in messages] == [b"k", b"5"]
    assert {message.partition for message in messages} == {zlib.crc32(b"p") % 7}


async def test_keyed_order(mock: MockKafka, read: Read) -> None:
    """Events with one key arrive in the order in which they came."""
    mock.create_topic("t", partitions=3)
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t") as stage:
        for start in range(0, 3000, 100):
            await stage.feed("a", *({"n": n, "partition_key": f"k{n % 5}"} for n in range(start, start + 100)))
        await wait_for(lambda: stage.metric("emit_records") == 3000, "all events")

    seen: dict[str, list[int]] = {}
    for value in values(await read("t")):
        seen.setdefault(value["partition_key"], []).append(value["n"])
    assert {key: sorted(numbers) for key, numbers in seen.items()} == seen
    assert sum(map(len, seen.values())) == 3000


async def test_without_a_key_partitions_share(mock: MockKafka, read: Read) -> None:
    """Batches without a key go round the partitions."""
    mock.create_topic("t", partitions=4)
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t") as stage:
        for _ in range(8):
            await feed(stage, {"n": 1})

    assert Counter(message.partition for message in await read("t")) == {0: 2, 1: 2, 2: 2, 3: 2}


async def test_exclude(mock: MockKafka, read: Read) -> None:
    """The fields that address a message can be left out of it."""
    conf = f"""
      brokers {mock.bootstrap}
      exclude_topic_key true
      exclude_message_key true
      exclude_partition_key true
      exclude_partition true
    """
    async with drive(KafkaOutput, conf) as stage:
        await feed(stage, {"topic": "t", "message_key": "k", "partition_key": "p", "partition": 1, "n": 1})
        await feed(stage, {"topic": "t", "n": 2})

    messages = await read("t")
    assert sorted(value["n"] for value in values(messages)) == [1, 2]
    assert all(len(value) == 1 for value in values(messages))


async def test_max_send_limit_bytes(mock: MockKafka, read: Read) -> None:
    """A payload over the limit goes to @ERROR, and the rest of its batch is delivered."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t\nmax_send_limit_bytes 20") as stage:
        await feed(stage, {"n": 1}, {"text": "x" * 30}, {"n": 2})

        ((_, _, record, error),) = stage.errors

    assert record == {"text": "x" * 30}
    assert str(error) == "record size 41 exceeds max_send_limit_bytes 20"
    assert [value["n"] for value in values(await read("t"))] == [1, 2]


@pytest.mark.parametrize("unset", ['""', "0"])
async def test_no_limit(mock: MockKafka, read: Read, unset: str) -> None:
    """An empty limit and 0 are none."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\nmax_send_limit_bytes {unset}") as stage:
        await feed(stage, {"n": 1}, tag="t")

    assert values(await read("t")) == [{"n": 1}]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd", "none", '""'])
async def test_compression(mock: MockKafka, read: Read, codec: str) -> None:
    """Batches are compressed by each codec that Kafka knows."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ncompression_codec {codec}") as stage:
        await feed(stage, *({"n": n} for n in range(100)), tag="t")

    assert [value["n"] for value in values(await read("t"))] == list(range(100))


@pytest.mark.parametrize("acks", ["-1", "all", "1"])
async def test_acks(mock: MockKafka, read: Read, acks: str) -> None:
    """Every kind of acknowledgement that has an answer."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\nrequired_acks {acks}") as stage:
        await feed(stage, {"n": 1}, tag="t")

        assert not stage.log.texts("warning")
    assert values(await read("t")) == [{"n": 1}]


async def test_idempotent(mock: MockKafka, read: Read) -> None:
    """An idempotent producer is asked for and delivers."""
    mock.count_requests()
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\nidempotent true") as stage:
        await feed(stage, *({"n": n} for n in range(10)), tag="t")

    assert Request.INIT_PRODUCER_ID in mock.requests()
    assert [value["n"] for value in values(await read("t"))] == list(range(10))


async def test_small_batches_become_large_ones(mock: MockKafka, read: Read) -> None:
    """Many small batches for many topics share few requests."""
    for number in range(10):
        mock.create_topic(f"t{number}", partitions=1)
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}") as stage:
        await feed(stage, *({"topic": f"t{number}"} for number in range(10)))
        mock.count_requests()
        for turn in range(50):
            for number in range(10):
                await stage.feed("a", {"topic": f"t{number}", "n": turn})
        await wait_for(lambda: stage.metric("emit_records") == 510, "all events")

    assert mock.requests().count(Request.PRODUCE) < 100
    assert [value.get("n") for value in values(await read("t3"))] == [None, *range(50)]


async def test_large_batches(mock: MockKafka, read: Read) -> None:
    """A batch of many MiB is cut into messages of a size that brokers take, and nothing of it is lost."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t") as stage:
        await feed(stage, *({"n": n, "text": "x" * 1000} for n in range(8000)))

    assert sorted(value["n"] for value in values(await read("t"))) == list(range(8000))


async def test_flush_at_the_end(mock: MockKafka, read: Read) -> None:
    """What was taken is delivered before the output stops."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\ndefault_topic t") as stage:
        await stage.feed("a", *({"n": n} for n in range(100)))

    assert [value["n"] for value in values(await read("t"))] == list(range(100))


async def test_warning_about_acks(mock: MockKafka) -> None:
    """That nobody acknowledges is said once, at the start."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\nrequired_acks 0") as stage:
        (warning,) = stage.log.texts("warning")

    assert warning.startswith("required_acks 0 can lose events")


async def test_topics_within_a_batch(mock: MockKafka, read: Read) -> None:
    """A batch for several topics is shared out in order, with what can't be written refused in its place."""
    endless: Record = {"topic": "a"}
    endless["self"] = endless
    records: list[Record] = [{"topic": "ab"[n % 2], "n": n} for n in range(20)]
    for topic in ("a", "b", "app.web"):
        mock.create_topic(topic, partitions=1)
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\nexclude_topic_key true") as stage:
        await feed(stage, *records[:10], endless, {"topic": "a b"}, {"n": 100}, *records[10:])

        assert len(stage.errors) == 2
    assert values(await read("a")) == [{"n": n} for n in range(0, 20, 2)]
    assert values(await read("b")) == [{"n": n} for n in range(1, 20, 2)]
    assert values(await read("app.web")) == [{"n": 100}]
