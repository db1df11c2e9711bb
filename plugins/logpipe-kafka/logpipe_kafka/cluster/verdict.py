"""What an error from aiokafka or a broker means for the batch that met it."""

from __future__ import annotations

import enum
from typing import Final

from aiokafka import errors


class SessionEnded(Exception):  # noqa: N818 - it says what happened
    """The producer that had a batch was let go of before the batch was confirmed."""


class InvalidRecord(errors.BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """A message breaks a rule of its topic: no key where the topic is compacted, say."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker failed to validate a record of the batch."


# aiokafka 0.14 does not know this one and would report UnknownError.
errors.kafka_errors.setdefault(InvalidRecord.errno, InvalidRecord)


class Verdict(enum.Enum):
    """What to do."""

    AGAIN = enum.auto()
    """Trouble of this partition that may pass."""
    UNREACHABLE = enum.auto()
    """The broker was not there, or did not answer in time."""
    UNKNOWN_TOPIC = enum.auto()
    """There is no such topic or partition; somebody may make it."""
    REFUSED_TOPIC = enum.auto()
    """We may not write to this topic, and only an operator can change that."""
    IMPOSSIBLE_TOPIC = enum.auto()
    """No topic of that name can exist."""
    TOO_LARGE = enum.auto()
    """The batch is larger than the topic takes; one of its messages may be."""
    BAD_MESSAGE = enum.auto()
    """At least one of the messages is against the rules."""
    NEW_SESSION = enum.auto()
    """This producer can't go on."""


_VERDICTS: Final[dict[type[BaseException], Verdict]] = {
    AssertionError: Verdict.UNKNOWN_TOPIC,  # aiokafka's way to say that a partition is not in its metadata
    OSError: Verdict.UNREACHABLE,
    SessionEnded: Verdict.AGAIN,
    TimeoutError: Verdict.UNREACHABLE,
    errors.ClusterAuthorizationFailedError: Verdict.REFUSED_TOPIC,
    errors.CorruptRecordException: Verdict.BAD_MESSAGE,
    errors.InvalidProducerEpoch: Verdict.NEW_SESSION,
    errors.InvalidProducerIdMapping: Verdict.NEW_SESSION,
    errors.InvalidTimestampError: Verdict.BAD_MESSAGE,
    errors.InvalidTopicError: Verdict.IMPOSSIBLE_TOPIC,
    errors.KafkaConnectionError: Verdict.UNREACHABLE,
    errors.MessageSizeTooLargeError: Verdict.TOO_LARGE,
    errors.NodeNotReadyError: Verdict.UNREACHABLE,
    errors.OutOfOrderSequenceNumber: Verdict.NEW_SESSION,
    errors.ProducerClosed: Verdict.NEW_SESSION,
    errors.ProducerFenced: Verdict.NEW_SESSION,
    errors.RecordListTooLargeError: Verdict.TOO_LARGE,
    errors.RequestTimedOutError: Verdict.UNREACHABLE,
    errors.TopicAuthorizationFailedError: Verdict.REFUSED_TOPIC,
    errors.UnknownProducerId: Verdict.NEW_SESSION,
    errors.UnknownTopicOrPartitionError: Verdict.UNKNOWN_TOPIC,
    InvalidRecord: Verdict.BAD_MESSAGE,
}


def judge(error: BaseException) -> Verdict:
    """Return what to do about `error`; what nobody knows may pass."""
    for cls in type(error).__mro__:
        if cls in _VERDICTS:
            return _VERDICTS[cls]
    return Verdict.AGAIN


def reason(error: BaseException) -> str:
    """Return the error in words, without the brackets and repetitions of aiokafka."""
    if isinstance(error, errors.BrokerResponseError):
        return str(error.message)
    text = " ".join(map(str, error.args)) if isinstance(error, errors.KafkaError) else str(error)
    return text.rstrip(".") or type(error).__name__
