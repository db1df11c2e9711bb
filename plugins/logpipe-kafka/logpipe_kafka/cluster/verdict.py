"""Classifies errors of aiokafka and brokers by how to handle the batch."""

from __future__ import annotations

import enum
from typing import Final

from aiokafka import errors


class SessionEnded(Exception):  # noqa: N818 - an event rather than an error
    """The producer was closed before a batch was confirmed."""


class InvalidRecord(errors.BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """A message breaks a rule of its topic, such as a missing key in a compacted topic."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker failed to validate a record of the batch."


# aiokafka 0.14 does not have this error and would report UnknownError.
errors.kafka_errors.setdefault(InvalidRecord.errno, InvalidRecord)


class Verdict(enum.Enum):
    """How to handle an error."""

    AGAIN = enum.auto()
    """A temporary problem of this partition."""
    UNREACHABLE = enum.auto()
    """The broker was unreachable, or did not answer in time."""
    UNKNOWN_TOPIC = enum.auto()
    """There is no such topic or partition; it may be created."""
    REFUSED_TOPIC = enum.auto()
    """Writing to this topic is not allowed, which only an operator can change."""
    IMPOSSIBLE_TOPIC = enum.auto()
    """No topic of that name can exist."""
    TOO_LARGE = enum.auto()
    """The batch is larger than the topic allows; one of its messages may be."""
    BAD_MESSAGE = enum.auto()
    """At least one of the messages is invalid."""
    NEW_SESSION = enum.auto()
    """This producer has failed."""


_VERDICTS: Final[dict[type[BaseException], Verdict]] = {
    AssertionError: Verdict.UNKNOWN_TOPIC,  # aiokafka raises it when a partition is not in its metadata
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
    """Return how to handle `error`; unknown ones count as temporary."""
    for cls in type(error).__mro__:
        if cls in _VERDICTS:
            return _VERDICTS[cls]
    return Verdict.AGAIN


def reason(error: BaseException) -> str:
    """Return an error's description, without the brackets and repetitions of aiokafka."""
    if isinstance(error, errors.BrokerResponseError):
        return str(error.message)
    text = " ".join(map(str, error.args)) if isinstance(error, errors.KafkaError) else str(error)
    return text.rstrip(".") or type(error).__name__
