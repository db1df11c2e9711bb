"""What is said of messages that are in no format, and of other trouble with who sends them."""

from __future__ import annotations

from collections.abc import Sequence

from logpipe import InputHost
from logpipe.builtin.message_limit import MessageLimit, shortened


class Complaints:
    """Counts and logs what strangers send, and never more of it than a log bears."""

    def __init__(self, host: InputHost, place: str) -> None:
        self._host = host
        self._place = place
        self._limit = MessageLimit(host.log, host.clock)
        self._unmatched = host.counter("unmatched_lines", "Messages that are not in the parser's format.")

    def unmatched(self, what: str, messages: Sequence[bytes]) -> None:
        """Count and log messages that are in no format."""
        self._unmatched.add(len(messages))
        for message in messages[: self.allowed(what, len(messages))]:
            self._host.log.warning("%s: %s", what, shortened(message))

    def allowed(self, what: str, count: int = 1) -> int:
        """Return how many of `count` things of a kind may be logged now; the rest is told later, as a number."""
        self._limit.sum_up()
        return self._limit.allowed(self._place, what, count)

    def sum_up(self) -> None:
        """Say how much was left out."""
        self._limit.sum_up(everything=True)
