"""Keys that a command prints, as AWS's own libraries take them from `credential_process`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from logpipe.net import AwsCredentials, NoCredentialsError
from logpipe.processes import Child

_SECONDS: Final = 60
_MOST: Final = 65_536
_EARLY: Final = 300
_NANOS: Final = 1_000_000_000


class CommandKeys:
    """Runs a command for keys, and again five minutes before they end.

    Args:
        command: for the shell; it prints JSON with AccessKeyId, SecretAccessKey, SessionToken and Expiration.
        clock: returns nanoseconds since the epoch.
    """

    def __init__(self, command: str, clock: Callable[[], int]) -> None:
        self._command = command
        self._clock = clock
        self._kept: AwsCredentials | None = None
        self._until = 0.0
        self._turn = asyncio.Lock()

    async def current(self) -> AwsCredentials:
        """Return the keys.

        Raises:
            NoCredentialsError: the command prints none.
        """
        async with self._turn:
            if self._kept is None or self._clock() / _NANOS > self._until - _EARLY:
                self._kept, self._until = _read(await self._printed())
            return self._kept

    async def _printed(self) -> bytes:
        child = Child.start(self._command, is_read=True)
        printed = b""
        try:
            async with asyncio.timeout(_SECONDS):
                while len(printed) < _MOST and (piece := await child.read()):
                    printed += piece
                ended = await child.wait()
        except TimeoutError:
            raise NoCredentialsError(f"no keys for AWS: the command takes more than {_SECONDS} seconds") from None
        finally:
            await child.end()
        if not ended.is_success:
            raise NoCredentialsError(f"no keys for AWS: the command has failed: {ended}: {child.last_words}")
        return printed


def _read(printed: bytes) -> tuple[AwsCredentials, float]:
    try:
        found: Any = json.loads(printed)
        keys = AwsCredentials(str(found["AccessKeyId"]), str(found["SecretAccessKey"]), found.get("SessionToken") or "")
        end = found.get("Expiration")
        return keys, datetime.fromisoformat(end).timestamp() if end else float("inf")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoCredentialsError("no keys for AWS: the command prints none") from None
