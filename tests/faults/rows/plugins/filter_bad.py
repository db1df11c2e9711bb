"""Filters that do what no filter should, when they see the poison for the first time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from logpipe import Filter, Options, Record, Time, param


class BadOptions(Options):
    """Settings of the filters below."""

    marker: str = param("File that is made when it happens.")


class Bad(Filter[BadOptions]):
    """Drops the poison, after what it does."""

    misdeed: ClassVar[Callable[[], object]]

    def filter(self, _tag: str, _time: Time, record: Record) -> Record | None:
        """Do it, once in the life of the marker."""
        if record.get("message") != "poison":
            return record
        marker = Path(self.options.marker)
        if not marker.exists():
            marker.touch()
            type(self).misdeed()
        return None


def _raise() -> None:
    raise RuntimeError("poison")


class Raising(Bad, type="raising"):
    """Fails."""

    misdeed = staticmethod(_raise)


class Blocking(Bad, type="blocking"):
    """Holds everything up."""

    misdeed = staticmethod(lambda: time.sleep(3))


class Exiting(Bad, type="exiting"):
    """Ends Python."""

    misdeed = staticmethod(lambda: sys.exit(3))


class Vanishing(Bad, type="vanishing"):
    """Ends the process."""

    misdeed = staticmethod(lambda: os._exit(3))
