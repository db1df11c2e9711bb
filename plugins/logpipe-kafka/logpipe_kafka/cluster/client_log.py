"""aiokafka's own messages: silent unless asked for, the last one at hand as the reason of a failure."""

from __future__ import annotations

import logging
from typing import Any, Final

LOGGER: Final = "aiokafka"


class ClientLog(logging.Handler):
    """Takes aiokafka's messages; passes them on with `get_kafka_client_log true`.

    aiokafka says at each attempt that a broker is away, on a logger that nobody configures; we say it once.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        super().__init__(logging.INFO)
        self._log = log
        self._forward = False
        self._last = ""

    def attach(self, *, forward: bool) -> None:
        """Begin to listen."""
        self._forward = forward
        logger = logging.getLogger(LOGGER)
        logger.addHandler(self)
        logger.propagate = False
        # Its debug messages hold whole requests.
        logger.setLevel(logging.INFO)

    def detach(self) -> None:
        """Stop listening; safe without `attach`."""
        logging.getLogger(LOGGER).removeHandler(self)

    def take_last(self) -> str:
        """Return the last error it heard of, and forget it."""
        last, self._last = self._last, ""
        return last

    def emit(self, record: logging.LogRecord) -> None:
        """Remember, and pass on if asked to."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR and not text.startswith("Unable to update metadata"):
            self._last = text
        if self._forward:
            self._log.log(record.levelno, "%s: %s", record.name, text)
