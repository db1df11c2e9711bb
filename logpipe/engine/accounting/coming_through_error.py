"""The mark of events that have been in `<label @ERROR>`: what fails again is a dead letter, and does not go round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from logpipe.event import Receipt

_through_error: Final[ContextVar[bool]] = ContextVar("through_error", default=False)


@contextmanager
def coming_through_error() -> Iterator[None]:
    """Say of what is emitted in this block that it has been in `@ERROR`, whatever receipts it has."""
    token = _through_error.set(True)
    try:
        yield
    finally:
        _through_error.reset(token)


def comes_through_error(receipt: Receipt | None = None) -> bool:
    """Return whether what is being emitted, or what a receipt is for, has been in `@ERROR`."""
    return _through_error.get() or (receipt is not None and receipt.came_through_error)
