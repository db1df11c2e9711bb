"""What the inputs make of messages, against the mock cluster: formats, times, tags, and what cannot be read."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from logpipe.testing import drive, wait_for
from logpipe_kafka.in_kafka_group import KafkaGroup
from tests.services.mock_kafka import MockKafka
from tests.services.producing import committed, numbers, produce

SECOND = 1_000_000_000
T = 1_466_000_000


def conf(mock: MockKafka, more: str = "") -> str:
    """The settings of a member of the group `g` that reads the topic `t`."""
    return f"brokers {mock.bootstrap}\nconsumer_group g\ntopics t\n{more}"


async def test_messages_to_events(mock: MockKafka) -> None:
    """The tag is the topic between prefix and suffix; key and headers are fields; the time is the current one."""
    await produce(mock.bootstrap, "t", b'{"n":1,"time":"x"}', key=b"k", headers=[("h", b"v"), ("bad", b"\xff")])
    settings = "client_id c\nadd_prefix in\nadd_suffix out\nkafka_message_key key\nadd_headers true\nmessage_key unused"
    async with drive(KafkaGroup, conf(mock, settings)) as stage:
        await wait_for(stage.events, "the event")
        assert stage.records("in.t.out") == [{"n": 1, "time": "x", "key": "k", "h": "v", "bad": b"\xff"}]
        assert stage.events()[0].time > T * SECOND
        assert "Will watch for topics t at brokers" in " ".join(stage.log.texts())
    assert await committed(mock.bootstrap, "g", "t") == [1]


@pytest.mark.parametrize(
    ("settings", "value", "record"),
    [
        ("format text\nmessage_key line", b"a\tb", {"line": "a\tb"}),
        ("format text", None, {"message": None}),
        ("format ltsv", b"a:1\ttime:2", {"a": "1", "time": "2"}),
        ("format msgpack", msgpack.packb({"a": 1}), {"a": 1}),
        ("format /^(?<a>\\w+) (?<time>\\S+)$/\ntime_format %s", b"x 1466000000", {"a": "x"}),
        ("<parse>\n@type json\n</parse>", b'{"a":1,"time":7}', {"a": 1, "time": 7}),
        ("<parse>\n@type csv\nkeys a,b\n</parse>", b"1,2", {"a": "1", "b": "2"}),
    ],
)
async def test_formats(mock: MockKafka, settings: str, value: bytes | None, record: dict[str, Any]) -> None:
    """Those of the original, and all other parsers, of which the time is not used."""
    await produce(mock.bootstrap, "t", value)
    async with drive(KafkaGroup, conf(mock, settings)) as stage:
        await wait_for(stage.events, "the event")
        assert stage.records() == [record]
        assert stage.events()[0].time > T * SECOND
        assert not stage.errors
        assert not stage.warnings


@pytest.mark.parametrize(
    ("settings", "time"),
    [
        ("time_source kafka", T * SECOND + 123_000_000),
        ("time_source record", (T + 1) * SECOND),
        ("use_record_time true", (T + 1) * SECOND),
        ("time_source record\nrecord_time_key at\ntime_format %Y", 1_451_606_400 * SECOND),
        ("time_source record\nrecord_time_key float", T * SECOND + 250_000_000),
    ],
)
async def test_times(mock: MockKafka, settings: str, time: int) -> None:
    """Kafka's, or a field's, with or without a format; the field stays."""
    value = b'{"time":1466000001,"at":2016,"float":1466000000.25}'
    await produce(mock.bootstrap, "t", value, timestamp_ms=T * 1000 + 123)
    async with drive(KafkaGroup, conf(mock, settings)) as stage:
        await wait_for(stage.events, "the event")
        ((found, record),) = stage.events()
    assert found == time
    assert set(record) == {"time", "at", "float"}


async def test_tags_of_records(mock: MockKafka) -> None:
    """Each event has the tag that its field says, and one without is an error."""
    values = [b'{"n":1,"to":"a"}', b'{"n":2,"to":"b"}', b'{"n":3}', b'{"n":4,"to":"a"}']
    await produce(mock.bootstrap, "t", *values)
    settings = "tag_source record\nrecord_tag_key to\nadd_prefix x"
    async with drive(KafkaGroup, conf(mock, settings)) as stage:
        await wait_for(lambda: len(stage.events()) == 3, "the events")
        assert numbers(stage.records("x.a")) == [1, 4]
        assert numbers(stage.records("x.b")) == [2]
        ((tag, _, record, error),) = stage.errors
    assert (tag, record["kafka_offset"]) == ("x.t", 2)
    assert str(error) == "parser error in t/0, offset 2: its field to is no tag"
    assert await committed(mock.bootstrap, "g", "t") == [4]


@pytest.mark.parametrize(
    ("settings", "value", "why"),
    [
        ("", b"{bad\n2016 [error] forged", "it is not in the format json"),
        ("", None, "it has no value"),
        ("", b"7", "it is not in the format json"),
        ("format msgpack", b"\xc1", "it is not in the format msgpack"),
        ("time_source record", b'{"n":1}', "its field time is no time: value must be a string or a number: None"),
    ],
)
async def test_poison(mock: MockKafka, settings: str, value: bytes | None, why: str) -> None:
    """What no event can be made of goes to @ERROR with its place, the rest goes on, and its offset is committed."""
    good = msgpack.packb({"n": 2}) if "msgpack" in settings else b'{"n":2,"time":1}'
    await produce(mock.bootstrap, "t", value, good)
    async with drive(KafkaGroup, conf(mock, settings)) as stage:
        await wait_for(stage.events, "the event behind it")
        assert [record["n"] for record in stage.records()] == [2]
        ((tag, _, record, error),) = stage.errors
        assert stage.metric("unreadable_messages") == 1
    assert (tag, str(error)) == ("t", f"parser error in t/0, offset 0: {why}")
    assert (record["kafka_topic"], record["kafka_partition"], record["kafka_offset"]) == ("t", 0, 0)
    assert await committed(mock.bootstrap, "g", "t") == [2]
