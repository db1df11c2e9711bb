"""One request for each chunk."""

from __future__ import annotations

import os
from functools import partial
from typing import Final

from logpipe import Chunk, EventBatch, Output, OutputHost, PermanentError
from logpipe.builtin.chunk_payloads import pieces_of
from logpipe.builtin.compression import compressor
from logpipe.builtin.out_http.endpoint import EndpointTemplate
from logpipe.builtin.out_http.headers import Headers
from logpipe.builtin.out_http.options import HttpOptions
from logpipe.discovery import Peer
from logpipe.net import AwsCredentials, ClientSettings, ClientTls, HttpClient, Verdict, environment_proxy

_AGAIN: Final = frozenset({429, 502, 503, 504})
_WHO: Final = frozenset({401, 407, 511})
"""What is answered to anybody who is not let in; of other statuses nothing follows for a request with events."""
_SECONDS: Final = 60
_WHOLE_SECONDS: Final = 3600
"""For one request: a chunk may be large, and the line slow."""


class HttpOutput(Output[HttpOptions], type="http"):
    """Sends each chunk in the body of a request; a 2xx status is a success, whatever the answer says.

    A record for which the server refuses its chunk is found, by sending parts of the chunk, and becomes a dead letter;
    all others are delivered. With a `<secondary>` that gets the whole chunk.
    """

    def __init__(self, options: HttpOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._endpoint = EndpointTemplate(options.endpoint, options.allowed_hosts)
        self._headers = Headers(options, host, self._endpoint.user)
        self._formatter = host.formatter(options.format)
        self._end = b"," if options.json_array else b""
        codes = options.retryable_response_codes
        self._again = _AGAIN if codes is None else frozenset(codes)
        self._client = HttpClient(client_settings(options), host.log)

    async def start(self) -> None:
        """Read the files of TLS.

        Raises:
            TlsError: one of them cannot be used.
        """
        if self._endpoint.scheme == "https":
            self._client.check()

    async def peers(self) -> list[Peer]:
        """Return the server, or those that it may be, of which each is asked for its options."""
        return [Peer(place, partial(self._try, place)) for place in self._endpoint.places]

    async def _try(self, place: str) -> str:
        keys = await self._headers.keys()
        headers = {**self._headers.own, **self._headers.signature("OPTIONS", place, [], keys)}
        answer = await self._client.request("OPTIONS", place, headers=headers)
        if answer.status in _WHO:
            raise PermanentError(str(answer))
        return f"it answers with status {answer.status}"

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.stop()

    def encode(self, batch: EventBatch) -> list[bytes]:
        """Return each event's bytes; a bad record is empty and goes to `@ERROR`."""
        tag, times, records = batch.tag, batch.times, batch.records

        def failed(index: int, error: Exception) -> None:
            self.host.emit_error(tag, times[index], records[index], error, receipt=batch.receipt)

        payloads = self._formatter.format_batch(batch, failed)
        # compat: out_http.rb keeps a comma behind each record of an array, in the buffer too
        return [payload and payload + self._end for payload in payloads] if self._end else payloads

    async def write(self, chunk: Chunk) -> None:
        """Send a chunk.

        Raises:
            PermanentError: its events make no URL or no header; or the answer says that it will never be taken.
            RetryLater: the answer says that it may be taken later.
            RequestFailedError: there is no answer.
        """
        method = self.options.http_method.upper()
        url, headers = self._endpoint.url(chunk, self.host), self._headers.of(chunk)
        if self.host.is_secondary:  # its chunks may have to be encoded, which is not for threads
            body = list(pieces_of(chunk, self.encode))
        else:
            body = await self.host.in_thread(lambda: list(pieces_of(chunk, self.encode)))
        if not body:
            return  # none of its records could be written
        keys = await self._headers.keys()
        body, signature = await self.host.in_thread(self._finished, method, url, body, keys)
        answer = await self._client.request(method, url, headers={**headers, **signature}, body=body)
        verdict = answer.verdict(self._again)
        if verdict is Verdict.REFUSED and not self.options.error_response_as_unrecoverable:
            # compat: the message of out_http.rb
            place = f"{method.capitalize()} {url.partition('?')[0]}"
            self.host.log.error("got error response from '%s' : %s", place, answer)
            self.host.dropped(len(chunk))
            return
        answer.check(self._again)
        self.host.log.debug("%s", answer)

    def _finished(
        self, method: str, url: str, body: list[bytes], keys: AwsCredentials | None
    ) -> tuple[list[bytes], dict[str, str]]:
        """Return the bytes that are sent, and the headers of their signature."""
        if self._end:
            body = [b"[", *body[:-1], body[-1].removesuffix(self._end), b"]"]
        if self.options.compress == "gzip":
            body = [compressor("gzip")(b"".join(body))]
        return body, self._headers.signature(method, url, body, keys)


def client_settings(options: HttpOptions) -> ClientSettings:
    """Return the settings of the HTTP client."""
    proxy = options.proxy
    if proxy is None:
        # compat: out_http.rb takes these for https as well; no_proxy is ours
        proxy = environment_proxy(options.endpoint, os.environ, ("HTTP_PROXY", "http_proxy"))
    version, ca_path = options.tls_version, options.tls_ca_cert_path
    return ClientSettings(
        tls=ClientTls(
            (ca_path,) if ca_path is not None else (),
            trusts_system=ca_path is None,
            cert_path=options.tls_client_cert_path,
            private_key_path=options.tls_private_key_path,
            private_key_passphrase=options.tls_private_key_passphrase,
            verify=options.tls_verify_mode == "peer",
            min_version=version or "TLSv1_2",
            max_version=version or "TLSv1_3",
            ciphers=options.tls_ciphers,
        ),
        proxy=proxy or None,
        open_seconds=options.open_timeout or _SECONDS,
        tls_seconds=options.ssl_timeout,
        read_seconds=options.read_timeout or _SECONDS,
        whole_seconds=_WHOLE_SECONDS,
        reuse=options.reuse_connections,
    )
