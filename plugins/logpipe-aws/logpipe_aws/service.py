"""Signed requests to one of AWS's services, or to one that speaks as it does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from logpipe import DeliveryError, LogpipeError, OutputHost
from logpipe.net import Answer, AwsSigner, ClientSettings, HttpClient
from logpipe_aws.credentials import Keys

_SMALL: Final = 65_536
"""Bytes that are hashed without a thread."""
_CODE: Final = re.compile(rb"<Code>([\w.]{1,64})</Code>")


class AwsService:
    """Sends requests that are signed.

    Args:
        host: the output's.
        service: its name in signatures, `s3` say.
        region: where it is.
        keys: what finds the keys.
        settings: of the connections.
    """

    def __init__(self, host: OutputHost, *, service: str, region: str, keys: Keys, settings: ClientSettings) -> None:
        self._host = host
        self._signer = AwsSigner(service, region)
        self._keys = keys
        self._client = HttpClient(settings, host.log)

    def check(self) -> None:
        """Read the files of TLS.

        Raises:
            TlsError: one of them cannot be used.
        """
        self._client.check()

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.stop()

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: Sequence[bytes] = ()) -> Answer:
        """Send a request and return the answer, whatever its status.

        Args:
            method: GET, PUT, …
            url: percent-encoded, as it is sent.
            headers: all of them are signed.
            body: in parts.

        Raises:
            RequestFailedError: there is no answer.
            DeliveryError: nobody gives out keys, now.
        """
        try:
            credentials = await self._keys.current()
        except LogpipeError as problem:
            raise DeliveryError(str(problem)) from problem
        now = self._host.clock.now()

        def sign() -> dict[str, str]:
            return self._signer.sign(method, url, headers, body, credentials=credentials, now=now)

        small = sum(map(len, body)) <= _SMALL
        signature = sign() if small else await self._host.in_thread(sign)
        return await self._client.request(method, url, headers={**headers, **signature}, body=body)


def code_of(answer: Answer) -> str:
    """Return the code of an error that is told in XML, `NoSuchBucket` say; "" where there is none."""
    found = _CODE.search(answer.body)
    return found[1].decode() if found else ""
