"""Every exception that logpipe raises on purpose.

LogpipeError
├── ConfigError          the configuration cannot be used; carries the diagnostics (config/diagnostic.py)
├── ExpressionError      an expression does not compile, or failed on a record
├── ParseError           a line is not in the format its parser expects
├── FormatError          a record cannot be written in the wanted format
├── BufferFull           a buffer has no room and was told to refuse
├── RecordTooLarge       one record does not fit in a chunk or a message
├── RoutingCircle        an event was passed on so often that the routes must be a circle
├── UnexpectedExit       a stage cancelled itself, or called sys.exit
└── DeliveryError        an output could not deliver; each subclass says what the engine does next
    ├── RetryLater       try again, after `after` seconds if given
    └── PermanentError   never try this chunk again: secondary, `@ERROR` or dead letters
        └── RefusedRecords   the same of some records; all others of the chunk are delivered
"""

from __future__ import annotations

from collections.abc import Mapping


class LogpipeError(Exception):
    """The base of all."""


class ExpressionError(LogpipeError):
    """An expression does not compile (`offset` is the place in its text), or failed on a record."""

    def __init__(self, message: str, *, offset: int | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.hint = hint


class ParseError(LogpipeError):
    """A line is not in the format its parser expects."""


class FormatError(LogpipeError):
    """A record cannot be written in the wanted format."""


class BufferFull(LogpipeError):  # noqa: N818 - named for what the receiver should know
    """A buffer has no room and `overflow_action` says to refuse."""


class RecordTooLarge(LogpipeError):  # noqa: N818 - named for what the receiver should know
    """One record is larger than a chunk or a message may be."""


class RoutingCircle(LogpipeError):  # noqa: N818 - named for what the receiver should know
    """An event was passed on from output to output so often that the routes must be a circle."""


class UnexpectedExit(LogpipeError):  # noqa: N818 - named for what the receiver should know
    """A stage raised CancelledError or SystemExit although nobody had asked it to stop."""


class DeliveryError(LogpipeError):
    """An output could not deliver a chunk."""


class RetryLater(DeliveryError):  # noqa: N818 - named for what the receiver should do
    """The peer asks for patience: try the chunk again, after `after` seconds if given."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class PermanentError(DeliveryError):
    """The chunk can never be delivered here: it is not tried again.

    It goes to `<secondary>` where there is one. Else it is divided, until the records to blame are known; those go to
    `<label @ERROR>`, or to the dead letters where there is none, and the others are delivered.
    """


class RefusedRecords(PermanentError):  # noqa: N818 - it says what happened
    """The peer takes some records of a chunk never, and has all others: nothing of the chunk is written again.

    Args:
        refused: the reason for each record that is refused, by its number in the chunk, from 0.
        message: of all together; the first reason without it.
    """

    def __init__(self, refused: Mapping[int, str | Exception], message: str = "") -> None:
        super().__init__(message or str(next(iter(refused.values()), "")))
        self.refused = dict(refused)
