"""`@type kafka2`: the topic of a chunk, formats, injected fields, headers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from logpipe import ConfigError
from logpipe.testing import Pipeline, build, configure, drive, wait_for
from logpipe_kafka.out_kafka2 import Kafka2Options, Kafka2Output
from tests.services.mock_kafka import Error, MockKafka
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]

TIME = 1_466_000_000_123_456_789


def conf(mock: MockKafka, more: str = "", *, keys: str = "topic") -> str:
    """Return the body of a section with a buffer that is flushed at once."""
    return f"brokers {mock.bootstrap}\n{more}\n<buffer {keys}>\nflush_mode immediate\n</buffer>"


async def feed(stage: Pipeline, *records: dict[str, Any], tag: str = "app.web") -> None:
    """Feed a batch and wait until its chunks are delivered."""
    await stage.feed(tag, *records, times=[TIME] * len(records))
    await stage.flush()


def values(messages: list[Message]) -> list[Any]:
    """Return the payloads, read as JSON."""
    return [json.loads(message.value or b"null") for message in messages]


async def test_topic_is_a_chunk_key(mock: MockKafka, read: Read) -> None:
    """The chunk key named by topic_key is the topic, else default_topic is."""
    async with drive(Kafka2Output, conf(mock, "default_topic other")) as stage:
        await feed(stage, {"topic": "a", "n": 1}, {"n": 2}, {"topic": "a", "n": 3}, {"topic": False, "n": 4})

    assert [value["n"] for value in values(await read("a"))] == [1, 3]
    assert sorted(value["n"] for value in values(await read("other"))) == [2, 4]


async def test_default_buffer_is_by_topic(mock: MockKafka, read: Read) -> None:
    """Without <buffer ARG> chunks are by topic."""
    more = f"brokers {mock.bootstrap}\n<buffer>\nflush_mode immediate\n</buffer>"
    async with drive(Kafka2Output, more) as stage:
        await feed(stage, {"topic": "a", "n": 1}, {"topic": "b", "n": 2})

    assert values(await read("a")) == [{"topic": "a", "n": 1}]
    assert values(await read("b")) == [{"topic": "b", "n": 2}]


async def test_tag_as_topic(mock: MockKafka, read: Read) -> None:
    """With the chunk key tag, the tag is the last resort."""
    async with drive(Kafka2Output, conf(mock, keys="topic,tag")) as stage:
        await feed(stage, {"n": 1})

        assert not stage.log.texts("warning")
    assert values(await read("app.web")) == [{"n": 1}]


async def test_topic_template(mock: MockKafka, read: Read) -> None:
    """`topic` holds placeholders for chunk keys and wins over topic_key."""
    async with drive(Kafka2Output, conf(mock, "topic logs-${ns}-${tag[1]}", keys="ns,tag")) as stage:
        await feed(stage, {"ns": "shop", "topic": "ignored"})

    assert values(await read("logs-shop-web")) == [{"ns": "shop", "topic": "ignored"}]


@pytest.mark.parametrize(
    ("more", "keys", "warning"),
    [
        ("", "topic", "Use 'topic' field of event record for topic but no fallback"),
        ("default_topic t", "topic,tag", "default_topic is set. Fluentd's event tag is not used for topic"),
        ("default_topic t\ntopic_key ns", "topic", "topic_key 'ns' is no chunk key"),
    ],
)
async def test_warnings_about_topics(mock: MockKafka, more: str, keys: str, warning: str) -> None:
    """Settings that leave events without a topic, or do nothing, are warned about."""
    async with drive(Kafka2Output, conf(mock, more, keys=keys)) as stage:
        (text,) = stage.log.texts("warning")

    assert text.startswith(warning)


async def test_no_topic_at_all(mock: MockKafka) -> None:
    """A chunk that nothing names a topic for is not tried again."""
    async with drive(Kafka2Output, conf(mock)) as stage:
        await stage.feed("app", {"n": 1})
        await wait_for(lambda: stage.metric("given_up_records") == 1, "the chunk to be given up")

        assert any("no topic: set default_topic" in text for text in stage.log.texts())


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("", b'{"topic":"t","a":1}'),
        ("<format>\n@type json\n</format>", b'{"topic":"t","a":1}'),
        ("<format>\n@type single_value\nmessage_key a\n</format>", b"1\n"),
        (
            "<inject>\ntag_key tag\ntime_key at\ntime_type unixtime\n</inject>",
            b'{"topic":"t","a":1,"tag":"app.web","at":1466000000}',
        ),
        (
            "<inject>\ntime_key at\ntime_type string\ntime_format %Y-%m-%dT%H:%M:%S.%3N\nutc true\n</inject>",
            b'{"topic":"t","a":1,"at":"2016-06-15T14:13:20.123"}',
        ),
        ("<inject>\ntime_key at\n</inject>", b'{"topic":"t","a":1,"at":1466000000.123456}'),
        ("<inject>\nhostname_key h\nhostname box\nworker_id_key w\n</inject>", b'{"topic":"t","a":1,"h":"box","w":0}'),
        ("exclude_topic_key true", b'{"a":1}'),
        ("exclude_fields $.topic,b", b'{"a":1}'),
        ("record_key a", b"1"),
    ],
)
async def test_payload(mock: MockKafka, read: Read, section: str, expected: bytes) -> None:
    """<format>, <inject>, and what is left out."""
    async with drive(Kafka2Output, conf(mock, section)) as stage:
        await feed(stage, {"topic": "t", "a": 1})

    assert [message.value for message in await read("t")] == [expected]


async def test_nested_fields(mock: MockKafka, read: Read) -> None:
    """exclude_fields and record_key take paths, and change nothing that records share."""
    shared = {"keep": 1, "drop": 2}
    async with drive(Kafka2Output, conf(mock, "exclude_fields $.data.drop\nrecord_key $.data")) as stage:
        await feed(stage, {"topic": "t", "data": shared}, {"topic": "t", "data": shared})

    assert values(await read("t")) == [{"keep": 1}, {"keep": 1}]
    assert shared == {"keep": 1, "drop": 2}


async def test_headers(mock: MockKafka) -> None:
    """Headers are fixed or come from the record."""
    mock.create_topic("t", partitions=1)
    more = "headers source:logpipe,empty:\nheaders_from_record pod:$.kubernetes.pod,none:$.x.y"
    async with drive(Kafka2Output, conf(mock, more)) as stage:
        await feed(stage, {"topic": "t", "kubernetes": {"pod": "web-1"}})

    async with AIOKafkaConsumer(bootstrap_servers=mock.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition("t", 0)])
        message = await consumer.getone()
    assert dict(message.headers) == {"source": b"logpipe", "empty": b"", "pod": b"web-1", "none": None}


async def test_fixed_headers_alone(mock: MockKafka) -> None:
    """Fixed headers go the short way too."""
    mock.create_topic("t", partitions=1)
    async with drive(Kafka2Output, conf(mock, "headers source:logpipe")) as stage:
        await feed(stage, {"topic": "t"})

    async with AIOKafkaConsumer(bootstrap_servers=mock.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition("t", 0)])
        message = await consumer.getone()
    assert dict(message.headers) == {"source": b"logpipe"}


async def test_use_default_for_unknown_topic(mock: MockKafka, read: Read) -> None:
    """What is for a topic that does not exist goes to the default topic."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    more = "default_topic other\nuse_default_for_unknown_topic true\nmax_send_retries 10"
    async with drive(Kafka2Output, conf(mock, more)) as stage:
        await feed(stage, {"topic": "missing", "n": 1}, {"topic": "missing", "n": 2, "message_key": "k"})

        assert any("'missing' topic not found. Retry with 'other' topic" in text for text in stage.log.texts())
    assert sorted(value["n"] for value in values(await read("other"))) == [1, 2]


@pytest.mark.parametrize(("backup", "given_up", "discarded"), [("true", 1, 0), ("false", 0, 1)])
async def test_ignore_exceptions(mock: MockKafka, backup: str, given_up: int, discarded: int) -> None:
    """An error that ruby-kafka's users know by name ends a chunk's attempts: for the backup, or for good."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    more = f"max_send_retries 0\nignore_exceptions Kafka::UnknownTopicOrPartition\nexception_backup {backup}"
    async with drive(Kafka2Output, conf(mock, more)) as stage:
        await stage.feed("app", {"topic": "missing"})
        await wait_for(lambda: stage.metric("given_up_records") + stage.metric("discarded_records") == 1, "an end")

        assert stage.metric("given_up_records") == given_up
        assert stage.metric("discarded_records") == discarded


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("use_default_for_unknown_topic true", "default_topic must be set when use_default_for_unknown_topic is true"),
        ("exclude_fields $.a b", "white space in the path"),
        ("headers_from_record a:$.b..c", "header a: an empty step in the path"),
        ("record_key $[", "record_key"),
        ("sasl_aws_msk_iam_access_key_id k", "use SCRAM or TLS"),
        ('brokers ""', "brokers is empty"),
    ],
)
def test_mistakes(body: str, message: str) -> None:
    """Mistakes are found when the settings are read."""
    with pytest.raises(ConfigError) as caught:
        configure(Kafka2Output, body)

    assert message in str(caught.value)


def test_client_id() -> None:
    """Its name among clients is fluentd's, as before."""
    options = build(Kafka2Output).options

    assert isinstance(options, Kafka2Options)
    assert options.client_id == "fluentd"


@pytest.mark.parametrize(
    ("value", "topic"),
    [(True, "t-true"), (1, "t-1"), (1.0, "t-1.0"), ("1", "t-1"), (None, "t-"), (1e-5, "t-1.0e-05")],
)
async def test_values_in_topics_are_text_as_in_ruby(mock: MockKafka, read: Read, value: Any, topic: str) -> None:
    """Whatever their type, and each in a topic of its own name."""
    async with drive(Kafka2Output, conf(mock, "topic t-${k}", keys="k")) as stage:
        await feed(stage, {"k": value})

    assert len(await read(topic)) == 1


async def test_a_value_that_no_topic_can_hold(mock: MockKafka, read: Read) -> None:
    """The event goes to `@ERROR` or a dead letter at once, and the others go on."""
    async with drive(Kafka2Output, conf(mock, "topic t-${k}", keys="k")) as stage:
        bad: list[Any] = [{"x": 1}, "a\nb", "x" * 300, "", "nul\0", "\ud800"]
        for value in bad[:3] + bad[4:]:
            await stage.feed("app", {"k": value})
        await feed(stage, {"k": "good"})
        assert stage.metric("retry_count") == 0
        await wait_for(lambda: len(stage.errors) + stage.metric("given_up_records") == 5, "the events to be given up")

    assert len(await read("t-good")) == 1


@pytest.mark.parametrize("seconds", [10**18, -99_999_999_999_999, -62_167_219_201, 253_402_300_800])
@pytest.mark.parametrize("key", [{}, {"message_key": "k"}])
async def test_a_time_that_no_message_can_have(mock: MockKafka, read: Read, seconds: int, key: dict[str, str]) -> None:
    """With use_event_time that event is the exception; without, nobody asks."""
    async with drive(Kafka2Output, conf(mock, "use_event_time true")) as stage:
        records = [{"topic": "a", "n": n, **key} for n in range(3)]
        await stage.feed("app", *records, times=[TIME, seconds * 10**9, TIME])
        await stage.flush()
        assert [record["n"] for _, _, record, _ in stage.errors] == [1]
        assert stage.metric("retry_count") == 0
    async with drive(Kafka2Output, conf(mock)) as stage:
        await stage.feed("app", {"topic": "b", "n": 1}, times=[seconds * 10**9])
        await stage.flush()

    assert [value["n"] for value in values(await read("a"))] == [0, 2]
    assert [value["n"] for value in values(await read("b"))] == [1]


@pytest.mark.parametrize("partition", [1 << 31, 10**30, "9" * 5000, -1, True, 1.5])
async def test_a_partition_that_cannot_be(mock: MockKafka, read: Read, partition: Any) -> None:
    """It costs its event only."""
    async with drive(Kafka2Output, conf(mock)) as stage:
        await feed(
            stage, {"topic": "a", "n": 1}, {"topic": "a", "n": 2, "partition": partition}, {"topic": "a", "n": 3}
        )
        ((_, _, record, error),) = stage.errors
        assert record["n"] == 2
        assert len(str(error)) < 200

    assert sorted(value["n"] for value in values(await read("a"))) == [1, 3]


async def test_a_topic_that_does_not_exist_holds_up_no_other(mock: MockKafka, read: Read) -> None:
    """Chunks of other topics flow meanwhile; at the limit that topic's chunk alone becomes a dead letter."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    more = f"brokers {mock.bootstrap}\nmax_send_retries 0\n<buffer topic>\nflush_mode immediate\nretry_max_times 2"
    async with drive(Kafka2Output, f"{more}\nretry_wait 1s\nretry_randomize false\n</buffer>") as stage:
        await stage.feed("app", {"topic": "missing", "n": -1})
        await stage.feed("app", {"topic": "missing", "n": -2})
        await wait_for(lambda: stage.metric("retry_count") > 0, "the first failure")
        for n in range(20):
            await stage.feed("app", {"topic": f"t{n % 4}", "n": n})
        await wait_for(lambda: stage.metric("write_count") == 20, "the other topics")
        assert stage.metric("given_up_records") == 0
        await wait_for(lambda: stage.metric("given_up_records") == 1, "the limit")
        mock.fail_topic("missing", Error.NONE)
        await wait_for(lambda: stage.metric("write_count") == 21, "the topic's other chunk", seconds=60)
    assert [letter.record for letter in stage.dead_letters()] == [{"topic": "missing", "n": -1}]
    for topic in range(4):
        assert sorted(value["n"] for value in values(await read(f"t{topic}"))) == list(range(topic, 20, 4))


async def test_an_attempt_on_a_refused_port_ends_when_its_settings_say(
    mock: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so do the next ones, however long the connection's own pauses have become."""
    monkeypatch.setattr("logpipe_kafka.cluster.producer.FIRST_BACK_OFF", 600.0)
    monkeypatch.setattr("logpipe_kafka.cluster.producer.LONGEST_BACK_OFF", 600.0)
    address = mock.bootstrap.split(",")[0].rpartition(":")[0] + ":1"
    more = f"brokers {address}\nmax_send_retries 0\n<buffer topic>\nflush_mode immediate\nretry_max_times 2"
    async with drive(Kafka2Output, f"{more}\nretry_wait 0.01s\nretry_type periodic\n</buffer>") as stage:
        await stage.feed("app", {"topic": "t", "n": 1})
        await wait_for(lambda: stage.metric("given_up_records") == 1, "the last attempt")
        (letter,) = stage.dead_letters()
        assert "delivery to Kafka failed" in letter.reason
