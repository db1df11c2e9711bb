"""All workers in one answer, as fluent-plugin-prometheus' prometheus_metrics.rb makes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from logpipe import LogpipeError
from logpipe.net import ClientSettings, ClientTls, HttpClient, RequestFailedError, TlsError, TransportOptions

Log: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]

_MOST_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of one worker's metrics."""
_OK: Final = 200
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what is connected to in its place


class WorkersError(LogpipeError):
    """A worker has not answered, or not with its metrics."""


class Workers:
    """Asks the other workers of this program at their ports.

    Their certificate is not compared with a name, since they are asked by an address; each worker shows its own.
    """

    def __init__(self, bind: str, ports: Mapping[int, int], path: str, transport: TransportOptions, log: Log) -> None:
        host = _LOOPBACK.get(bind, f"[{bind}]" if ":" in bind else bind)
        scheme = "https" if transport.protocol == "tls" else "http"
        self._urls = {worker: f"{scheme}://{host}:{port}{path}" for worker, port in ports.items()}
        tls = ClientTls(
            verify=False,
            cert_path=transport.cert_path,
            private_key_path=transport.private_key_path,
            private_key_passphrase=transport.private_key_passphrase,
        )
        settings = ClientSettings(tls=tls, open_seconds=5, read_seconds=10, whole_seconds=30)
        self._client = HttpClient(settings, log)

    async def combined(self, worker: int, own: str) -> str:
        """Return the metrics of all workers, each family in one piece; `own` are those of `worker`.

        Raises:
            WorkersError: one of them does not answer.
        """
        found = await asyncio.gather(*map(self._ask, self._urls))
        texts = {**dict(zip(self._urls, found, strict=True)), worker: own}
        return combine(texts[each] for each in sorted(texts)) if len(texts) > 1 else own

    async def stop(self) -> None:
        """Close the connections to them."""
        await self._client.stop()

    async def _ask(self, worker: int) -> str:
        headers = {"Accept-Encoding": "identity"}
        try:
            answer = await self._client.request("GET", self._urls[worker], headers=headers, most_answer=_MOST_ANSWER)
        except (RequestFailedError, TlsError) as problem:
            raise WorkersError(f"worker {worker}: {problem}") from None
        if answer.status != _OK or answer.is_cut:
            what = "more than can be read" if answer.is_cut else f"status {answer.status}"
            raise WorkersError(f"worker {worker} answers with {what}")
        return answer.body.decode("utf-8", "replace")


def combine(texts: Iterable[str]) -> str:
    """Return several answers as one: of a family the first one's head, then all samples."""
    families: dict[str, tuple[dict[str, None], dict[str, str]]] = {}
    for text in texts:
        samples: dict[str, str] = {}
        for line in text.split("\n"):
            if line.startswith("#"):
                name = line.split(" ", 3)[2]
                heads, samples = families.setdefault(name, ({}, {}))
                heads.setdefault(line)
            elif line:
                samples.setdefault(line.rpartition(" ")[0], line)
    return "".join(f"{line}\n" for heads, samples in families.values() for line in (*heads, *samples.values()))
