"""aiokafka's own log messages: hidden by default; the last error is kept as the reason of a failure."""

from __future__ import annotations

import logging
from typing import Any, Final

LOGGER: Final = "aiokafka"


class ClientLog(logging.Handler):
    """Receives aiokafka's messages; forwards them with `get_kafka_client_log true`.

    aiokafka logs at each attempt that a broker is away, on a logger of its own; this plugin logs it once.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        super().__init__(logging.INFO)
        self._log = log
        self._forward = False
        self._last = ""

    def attach(self, *, forward: bool) -> None:
        """Begin to receive messages."""
        self._forward = forward
        logger = logging.getLogger(LOGGER)
        logger.addHandler(self)
        logger.propagate = False
        # Its debug messages contain whole requests.
        logger.setLevel(logging.INFO)

    def detach(self) -> None:
        """Stop receiving messages; safe without `attach`."""
        logging.getLogger(LOGGER).removeHandler(self)

    def pop_last(self) -> str:
        """Return the last error and clear it."""
        last, self._last = self._last, ""
        return last

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last error, and forward the message if configured."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR and not text.startswith("Unable to update metadata"):
            self._last = text
        if self._forward:
            self._log.log(record.levelno, "%s: %s", record.name, text)
