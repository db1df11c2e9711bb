"""`@type kafka` while messages are refused: only the bad one goes to @ERROR."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from logpipe.testing import drive
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services.feeding import Feeder, conf, numbers
from tests.services.mock_kafka import Error, MockKafka
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]


async def test_message_too_large(mock: MockKafka, read: Read) -> None:
    """Of a batch that is refused for its size only the large message goes to @ERROR."""
    mock.create_topic("t", partitions=1)
    large, fits = Error.MSG_SIZE_TOO_LARGE, Error.NONE
    # The mock does not look at sizes: it refuses the batch of 4, its second half, and the last but one by itself.
    mock.fail_partition("t", 0, large, fits, large, large, fits)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed(*({"n": n} for n in range(4)))
        await feeder.all_settled()

        ((tag, _, record, error),) = stage.errors
    assert (tag, record) == ("app", {"n": 2})
    assert str(error).endswith("is too large for topic t: MESSAGE_SIZE_TOO_LARGE")
    assert numbers(await read("t")) == [0, 1, 3]


@pytest.mark.parametrize(("error", "attempts"), [(Error.INVALID_RECORD, 1), (Error.CORRUPT_MESSAGE, 3)])
async def test_bad_message(mock: MockKafka, read: Read, error: Error, attempts: int) -> None:
    """Of a batch that is refused for its content only the bad message goes to @ERROR; damage may be the network's."""
    mock.create_topic("t", partitions=1)
    # The batch of 4, its first half, and the first message by itself.
    mock.fail_partition("t", 0, *[error] * (3 * attempts))
    async with drive(KafkaOutput, conf(mock, "compression_codec lz4")) as stage:
        feeder = Feeder(stage)
        await feeder.feed(*({"n": n, "message_key": "k", "partition": 0} for n in range(4)))
        await feeder.all_settled()

        ((_, _, record, error_seen),) = stage.errors
    assert record["n"] == 0
    assert "topic t refuses it" in str(error_seen)
    messages = await read("t")
    assert numbers(messages) == [1, 2, 3]
    assert {message.key for message in messages} == {b"k"}
