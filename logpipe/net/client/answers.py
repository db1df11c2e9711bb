"""What comes back, and what it means for what was sent."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from logpipe.errors import DeliveryError, PermanentError, RetryLater

AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others when the same is sent again."""

MOST_PATIENCE: Final = 3600.0
"""Seconds: a peer that asks for more gets this, and the same request again."""
SHOWN: Final = 200
"""Characters of an answer that a message shows."""

_SUCCESS: Final = range(200, 300)


class RequestFailedError(DeliveryError):
    """There is no answer: no connection, a broken one, or none within its time."""


class Verdict(enum.Enum):
    """What an answer means for what was sent."""

    DELIVERED = "delivered"
    AGAIN = "again"
    """It may be taken later."""
    REFUSED = "refused"
    """It never will."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(repr=False)
    """By names in any case."""
    body: bytes
    """As it came, without a Content-Encoding that nobody has asked for."""
    is_cut: bool = False
    """Whether there was more of the body than was asked for."""

    def verdict(self, again: Collection[int] = AGAIN) -> Verdict:
        """Return what the status means; `again` has those with which the same may be sent again."""
        if self.status in again:
            return Verdict.AGAIN
        return Verdict.DELIVERED if self.status in _SUCCESS else Verdict.REFUSED

    def retry_after(self) -> float | None:
        """Return how many seconds the peer asks to wait, an hour at most; None where it says nothing."""
        text = self.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", text):
            return min(MOST_PATIENCE, float(text))
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - few answers have a date

        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(MOST_PATIENCE, max(0.0, (moment - datetime.now(UTC)).total_seconds()))

    def __str__(self) -> str:
        """Return status, reason and the start of the body, on one line."""
        text = self.body.decode("utf-8", "replace")
        said = " ".join(f"{self.status} {self.reason} {text[: 4 * SHOWN]}".split())
        return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"

    def check(self, again: Collection[int] = AGAIN) -> None:
        """Return if what was sent is delivered, as `Output.write` has to.

        Raises:
            RetryLater: it may be taken later, after what the peer asks to wait.
            PermanentError: it never will.
        """
        verdict = self.verdict(again)
        if verdict is Verdict.AGAIN:
            raise RetryLater(str(self), after=self.retry_after())
        if verdict is Verdict.REFUSED:
            raise PermanentError(str(self))
