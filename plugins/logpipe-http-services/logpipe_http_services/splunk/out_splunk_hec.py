"""Sends events to Splunk's HTTP event collector. Rules: fluent-plugin-splunk-hec 1.3.3, out_splunk_hec.rb."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any, Final

import orjson

from logpipe import Chunk, Output, OutputHost, PermanentError, RetryLater
from logpipe.bulk import Bulk, BulkRequest, Judged, RequestTooLargeError
from logpipe.net import ClientSettings, ClientTls, HttpClient, environment_proxy
from logpipe_http_services.splunk.events import Events
from logpipe_http_services.splunk.options import SplunkHecOptions

_MOST_RECORDS: Final = 10_000
_MOST_BYTES: Final = 8 << 20
_SECONDS: Final = 60
_MOST_REFUSED: Final = 100
"""Requests that are sent again at once without an event that was refused; what is left then waits."""


class SplunkHec(Output[SplunkHecOptions], type="splunk_hec"):
    """Sends chunks in batches of events.

    An event that the collector names as invalid is given up, and the others are sent again without it. What is no
    event's fault, a wrong token say, is tried again by the `retry_*` settings.
    """

    def __init__(self, options: SplunkHecOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._events = Events(options, host)
        self._bulk = Bulk(host, self._send, most_records=_MOST_RECORDS, most_bytes=_MOST_BYTES)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": "fluent-plugin-splunk_hec_out/1.3.3",
            "Authorization": f"Splunk {options.hec_token}",
            "__splunk_app_name": options.app_name,
            "__splunk_app_version": options.app_version,
            **options.custom_headers,
        }
        if options.gzip_compression:
            self._headers["Content-Encoding"] = "gzip"
        self._client = HttpClient(client_settings(options), host.log)

    async def start(self) -> None:
        """Read the files of TLS.

        Raises:
            OSError: the folder of `ca_path` cannot be read.
            TlsError: a file cannot be used.
        """
        if self.options.ca_path is not None:
            files = await self.host.in_thread(_files_in, Path(self.options.ca_path))
            self._client = HttpClient(client_settings(self.options, files), self.host.log)
        await self.host.in_thread(self._client.check)

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.stop()

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk.

        Raises:
            RefusedRecords: the collector refuses some events; all others are delivered.
            RetryLater: it takes nothing now.
        """
        await self._bulk.deliver(chunk, self._events.entries)

    async def _send(self, request: BulkRequest) -> Judged:
        left = [*range(len(request))]
        refused: dict[int, str] = {}
        while left:
            body = b"".join([request.parts[number] for number in left])
            if self.options.gzip_compression:
                body = await self.host.in_thread(gzip.compress, body, 6)
            answer = await self._client.request("POST", self.options.url, headers=self._headers, body=body)
            if answer.status == 413:
                raise RequestTooLargeError("the collector takes no request of this size")
            if answer.status != 400:
                if answer.status // 100 == 4 and answer.status not in {408, 425, 429}:
                    raise RetryLater(f"{answer.status} {_reason(answer.body)[0]}: see hec_token and hec_endpoint")
                answer.check()
                break
            reason, number = _reason(answer.body)
            if not self.options.consume_chunk_on_4xx_errors:
                raise RetryLater(f"400 {reason}")
            if number is None or not 0 <= number < len(left) or self._events.is_wide:
                raise PermanentError(f"400 {reason}")
            refused[left.pop(number)] = f"400 {reason}"
            if len(refused) >= _MOST_REFUSED:
                return Judged(refused, dict.fromkeys(left, "sent behind others that were refused"))
        return Judged(refused)


def client_settings(options: SplunkHecOptions, folder: tuple[str, ...] = ()) -> ClientSettings:
    """Return those of the HTTP client.

    Args:
        options: of the output.
        folder: the files of `ca_path`.
    """
    authorities = (*filter(None, [options.ca_file]), *folder)
    tls = ClientTls(
        ca_paths=authorities,
        trusts_system=not authorities and options.ca_path is None,
        verify=not options.insecure_ssl,
        cert_path=options.client_cert,
        private_key_path=options.client_key,
        min_version="TLSv1_2" if options.require_ssl_min_version else "TLSv1",
        ciphers=":".join(options.ssl_ciphers) if options.ssl_ciphers else None,
    )
    return ClientSettings(
        tls=tls,
        proxy=environment_proxy(options.url, os.environ),
        open_seconds=options.open_timeout or _SECONDS,
        read_seconds=options.read_timeout or _SECONDS,
        idle_seconds=options.idle_timeout or _SECONDS,
    )


def _files_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(path) for path in folder.iterdir() if path.is_file()))


def _reason(body: bytes) -> tuple[str, int | None]:
    """Return what an answer says, and the number of the event that it names."""
    try:
        said: Any = orjson.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return body[:200].decode("utf-8", "replace"), None
    number = said.get("invalid-event-number")
    return str(said.get("text"))[:200], number if type(number) is int else None
