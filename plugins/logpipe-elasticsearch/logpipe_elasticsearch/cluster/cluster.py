"""Requests to a cluster: to one of its nodes in turn, with what says who sends them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from logpipe import DeliveryError, LogpipeError, OutputHost, RetryLater
from logpipe.discovery import Peer
from logpipe.net import (
    Answer,
    AwsKeys,
    AwsSigner,
    ClientSettings,
    ClientTls,
    HttpClient,
    RequestFailedError,
    environment_proxy,
)
from logpipe_elasticsearch.nodes import Node, Rota
from logpipe_elasticsearch.options.connection import ConnectionOptions

MOST_ANSWER: Final = 4 * 1024 * 1024
_WHOLE_SECONDS: Final = 600
_NONE: Final[Mapping[str, str]] = {}
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
TELLS_NOT: Final = frozenset({UNAUTHORIZED, 403, NOT_FOUND, 405})
"""What a server, or what stands before it, answers that does not tell its version."""


class AwsAccess(NamedTuple):
    """What signs requests to AWS."""

    service: str
    region: str
    role: str
    environ: Mapping[str, str]
    """Where keys are looked for."""


class ClusterError(DeliveryError):
    """A request that sets something up is refused; it may be accepted when somebody has mended it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Cluster:
    """Sends requests; nothing is opened before the first.

    Args:
        options: where the nodes are.
        nodes: them.
        host: the output's.
        authorization: the header's value for nodes without a user, None for none.
        aws: what signs requests, None where they are not signed.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        nodes: list[Node],
        host: OutputHost,
        *,
        authorization: str | None = None,
        aws: AwsAccess | None = None,
    ) -> None:
        self.nodes = nodes
        self._host = host
        self._rota = Rota(nodes, host.clock.monotonic, float(options.resurrect_after))
        by_proxy: dict[str | None, HttpClient] = {}
        self._clients: dict[Node, HttpClient] = {}
        for node in nodes:
            settings = client_settings(options, node)
            if settings.proxy not in by_proxy:
                by_proxy[settings.proxy] = HttpClient(settings, host.log)
            self._clients[node] = by_proxy[settings.proxy]
        self._headers = dict(options.custom_headers)
        self._authorization = authorization
        self._is_told = options.with_transporter_log
        self._signer = None if aws is None else AwsSigner(aws.service, aws.region)
        self._keys = None if aws is None else AwsKeys(aws.environ, _home(), aws.region, host.clock.now, aws.role)

    def check(self) -> None:
        """Read the files of TLS.

        Raises:
            TlsError: one of them cannot be used.
        """
        for node, client in self._clients.items():
            if node.scheme == "https":
                client.check()

    async def stop(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.stop()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] = _NONE,
        most_answer: int = MOST_ANSWER,
    ) -> Answer:
        """Send a request to one node, or to the next where one gives no answer; return what is answered.

        Args:
            method: GET, PUT, …
            path: with its slash in front, and its query; percent-encoded.
            body: whole, or in parts.
            headers: beside those of the settings.
            most_answer: bytes of it that are read.

        Raises:
            RequestFailedError: no node answers.
            DeliveryError: there are no keys to sign it with.
        """
        parts = (body,) if isinstance(body, bytes) else body
        problem: RequestFailedError | None = None
        for node in self._rota.turn():
            try:
                answer = await self._exchange(node, method, path, parts, headers, most_answer)
            except RequestFailedError as error:
                self._rota.failed(node)
                problem = error
                continue
            self._rota.worked(node)
            return answer
        assert problem is not None  # noqa: S101 - there is one node at least
        raise problem

    async def _exchange(  # noqa: PLR0917 - all of a request
        self, node: Node, method: str, path: str, parts: Sequence[bytes], headers: Mapping[str, str], most_answer: int
    ) -> Answer:
        url = f"{node.url}{path}"
        began = self._host.clock.monotonic()
        signed = await self._headers_for(node, method, url, headers, parts)
        client = self._clients[node]
        answer = await client.request(method, url, headers=signed, body=parts, most_answer=most_answer)
        if self._is_told:
            took = 1000 * (self._host.clock.monotonic() - began)
            self._host.log.info("%s %s [status:%d, request:%.0fms]", method, url, answer.status, took)
        return answer

    def peers(self) -> list[Peer]:
        """Return the nodes, of which each is asked for its version."""
        return [Peer(node.url, partial(self._try, node)) for node in self.nodes]

    async def _try(self, node: Node) -> str:
        answer = await self._exchange(node, "GET", "/", (), _NONE, MOST_ANSWER)
        if answer.status in TELLS_NOT and answer.status != UNAUTHORIZED:
            return f"it does not tell its version: {answer}"
        if answer.status // 100 != 2:
            raise ClusterError(str(answer), answer.status)
        said = read_json(answer)
        about = said.get("version") if isinstance(said, dict) else None
        number = about.get("number") if isinstance(about, dict) else None
        return f"version {number}" if isinstance(number, str) else f"it does not tell its version: {answer}"

    async def _headers_for(
        self, node: Node, method: str, url: str, headers: Mapping[str, str], body: Sequence[bytes]
    ) -> dict[str, str]:
        found = dict(headers)
        _put(found, self._headers)
        if self._authorization is not None:
            _put(found, {"Authorization": self._authorization})
        elif node.user is not None:
            _put(found, {"Authorization": basic(node.user, node.password or "")})
        if self._signer is not None and self._keys is not None:
            try:
                credentials = await self._keys.current()
            except LogpipeError as problem:  # nobody gives out keys, now
                raise DeliveryError(str(problem)) from problem
            signed = {name: value for name, value in found.items() if name.lower() == "content-type"}
            sign, now = self._signer.sign, self._host.clock.now()
            # all of the body is hashed
            found |= await self._host.in_thread(
                lambda: sign(method, url, signed, body, credentials=credentials, now=now)
            )
        return found

    async def ask(
        self, method: str, path: str, body: Any = None, *, missing: bool = False, most_answer: int = MOST_ANSWER
    ) -> Any:
        """Send JSON and return the answer's; None for 404 where something may be `missing`.

        Raises:
            RequestFailedError: there is no answer.
            RetryLater: it says to come later.
            ClusterError: it says no.
        """
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else _NONE
        answer = await self.request(method, path, body=data, headers=headers, most_answer=most_answer)
        if missing and answer.status == NOT_FOUND:
            return None
        if answer.status // 100 == 2:
            return await self._host.in_thread(read_json, answer)
        if answer.verdict().name == "AGAIN":
            raise RetryLater(f"{method} {path}: {answer}", after=answer.retry_after())
        raise ClusterError(f"{method} {path}: {answer}", answer.status)


def _home() -> Path:
    """Return the user's folder; that of a user whom the system has no folder for is none."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises an error then


def _put(headers: dict[str, str], others: Mapping[str, str]) -> None:
    """Put headers in the place of those that have the same names, in any case."""
    names = {name.lower() for name in others}
    for name in [name for name in headers if name.lower() in names]:
        del headers[name]
    headers.update(others)


def read_json(answer: Answer) -> Any:
    """Return what an answer holds; {} for an empty one.

    Raises:
        DeliveryError: it is no JSON.
    """
    import orjson  # noqa: PLC0415 - with the first answer

    if answer.is_cut:
        raise DeliveryError(f"the answer has more than {len(answer.body)} bytes")
    try:
        return orjson.loads(answer.body) if answer.body.strip() else {}
    except ValueError:
        raise DeliveryError(f"the answer is no JSON: {answer}") from None


def basic(user: str, password: str) -> str:
    """Return the header of Basic authentication."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def client_settings(options: ConnectionOptions, node: Node) -> ClientSettings:
    """Return the settings of the HTTP client."""
    seconds = float(options.request_timeout)
    lowest, highest = (_plain(version) for version in options.versions())
    return ClientSettings(
        tls=ClientTls(
            (options.ca_file,) if options.ca_file else (),
            trusts_system=not options.ca_file,
            cert_path=options.client_cert,
            private_key_path=options.client_key,
            private_key_passphrase=options.client_key_pass,
            verify=options.ssl_verify,
            min_version=lowest,
            max_version=highest,
        ),
        proxy=environment_proxy(node.url, os.environ),
        open_seconds=seconds,
        read_seconds=seconds,
        whole_seconds=max(seconds, _WHOLE_SECONDS),
    )


def _plain(version: str) -> str:
    """Return the lowest version that a client still has."""
    return "TLSv1_1" if version in {"SSLv23", "TLSv1"} else version
