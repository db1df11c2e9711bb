"""AWS's keys from whoever gives them out for a while: a container's or a machine's own service, or STS for a role."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from logpipe.net.client.answers import Answer, RequestFailedError
from logpipe.net.client.client import HttpClient
from logpipe.net.client.credentials import AwsCredentials, NoCredentialsError, find_credentials
from logpipe.net.client.proxy import environment_proxy
from logpipe.net.client.settings import ClientSettings
from logpipe.net.client.sigv4 import AwsSigner

EARLY: Final = 300
"""Seconds before they end at which keys are asked for again."""
SESSION: Final = "logpipe"

_QUICK: Final = ClientSettings(open_seconds=2, read_seconds=5, whole_seconds=10, reuse=False)
_LOG: Final = logging.getLogger(__name__)
_NANOS: Final = 1_000_000_000
_CONTAINER: Final = "http://169.254.170.2"
_MACHINE: Final = "http://169.254.169.254"
_ROLES: Final = "/latest/meta-data/iam/security-credentials/"
_PARTS: Final = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


@dataclass(frozen=True, slots=True)
class AwsSts:
    """How STS is asked for a role's keys."""

    region: str = ""
    """Where; "" where the keys are used."""
    endpoint: str = ""
    """Its URL; "" for `AWS_ENDPOINT_URL_STS`, else the region's."""
    proxy: str | None = field(default=None, repr=False)
    """The URL of a proxy on the way; None for what the environment says."""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More of the question: RoleSessionName, ExternalId, Policy, DurationSeconds."""


class AwsKeys:
    """Finds keys as AWS's own libraries do, and keeps those that end until shortly before that.

    In this order: the environment; a token of Kubernetes (`AWS_WEB_IDENTITY_TOKEN_FILE`) for `AWS_ROLE_ARN`; the files
    of AWS's command line; the container's service; the machine's. With `role` these are exchanged for the role's.

    Args:
        environ: `os.environ`.
        home: the user's folder.
        region: where STS is asked.
        clock: returns nanoseconds since the epoch.
        role: the ARN of a role to assume; "" for none.
        sts: how it is asked for that role, or without one for that of the token.
    """

    def __init__(  # noqa: PLR0917 - in the order in which they are looked at
        self,
        environ: Mapping[str, str],
        home: Path,
        region: str,
        clock: Callable[[], int],
        role: str = "",
        sts: AwsSts = AwsSts(),
    ) -> None:
        self._environ = environ
        self._home = home
        self._region = sts.region or region
        self._sts = sts
        self._clock = clock
        self._role = role
        self._kept: AwsCredentials | None = None
        self._until = 0.0
        self._turn = asyncio.Lock()

    async def current(self) -> AwsCredentials:
        """Return the keys.

        Raises:
            NoCredentialsError: nobody gives out any.
        """
        async with self._turn:
            if self._kept is None or self._clock() / _NANOS > self._until - EARLY:
                client = HttpClient(_QUICK, _LOG)
                try:
                    self._kept, self._until = await self._assumed(await self._own(client))
                except RequestFailedError as problem:
                    raise NoCredentialsError(f"no keys for AWS: {problem}") from problem
                finally:
                    await client.stop()
            return self._kept

    async def _own(self, client: HttpClient) -> tuple[AwsCredentials, float]:
        environ = self._environ
        token_file = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
        has_keys = environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY")
        if token_file and not has_keys:
            return await self._by_token(token_file)
        try:
            return await asyncio.to_thread(find_credentials, environ, self._home), 0.0  # they may change at any time
        except NoCredentialsError:
            found = await self._of_container(client) or await self._of_machine(client)
            if found is None:
                raise
            return found

    async def _assumed(self, own: tuple[AwsCredentials, float]) -> tuple[AwsCredentials, float]:
        if not self._role:
            return own
        fields = {"RoleSessionName": SESSION, **self._sts.fields}
        return await self._ask_sts(own[0], Action="AssumeRole", RoleArn=self._role, **fields)

    async def _by_token(self, file: str) -> tuple[AwsCredentials, float]:
        environ = self._environ
        try:
            token = (await asyncio.to_thread(Path(file).read_text, "utf-8")).strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise NoCredentialsError(f"no keys for AWS: {file}: {problem}") from problem
        return await self._ask_sts(
            None,
            Action="AssumeRoleWithWebIdentity",
            RoleArn=environ.get("AWS_ROLE_ARN", ""),
            WebIdentityToken=token,
            **{
                "RoleSessionName": environ.get("AWS_ROLE_SESSION_NAME") or SESSION,
                **({} if self._role else self._sts.fields),
            },
        )

    async def _ask_sts(self, signed_with: AwsCredentials | None, **fields: str) -> tuple[AwsCredentials, float]:
        url, body = self._sts_url(), _form(**fields)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if signed_with is not None:
            signer = AwsSigner("sts", self._region)
            headers |= signer.sign("POST", url, headers, (body,), credentials=signed_with, now=self._clock())
        proxy = self._sts.proxy or environment_proxy(url, self._environ)
        client = HttpClient(replace(_QUICK, proxy=proxy), _LOG)
        try:
            return _of_xml(await client.request("POST", url, headers=headers, body=body))
        finally:
            await client.stop()

    def _sts_url(self) -> str:
        end = ".cn" if self._region.startswith("cn-") else ""
        given = (self._sts.endpoint or self._environ.get("AWS_ENDPOINT_URL_STS", "")).rstrip("/")
        return f"{given or f'https://sts.{self._region}.amazonaws.com{end}'}/"

    async def _of_container(self, client: HttpClient) -> tuple[AwsCredentials, float] | None:
        """Ask ECS's service, or EKS's Pod Identity; None where there is none."""
        environ = self._environ
        relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        url = f"{_CONTAINER}{relative}" if relative else environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        if not url:
            return None
        token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if file := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            try:
                token = (await asyncio.to_thread(Path(file).read_text, "utf-8")).strip()
            except (OSError, UnicodeDecodeError) as problem:
                raise NoCredentialsError(f"no keys for AWS: {file}: {problem}") from problem
        return _of_json(await client.request("GET", url, headers={"Authorization": token} if token else {}))

    async def _of_machine(self, client: HttpClient) -> tuple[AwsCredentials, float] | None:
        """Ask EC2's service for metadata, version 2; None where there is none, or no role is this machine's."""
        environ = self._environ
        if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return None
        base = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _MACHINE).rstrip("/")
        life = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        try:
            token = await client.request("PUT", f"{base}/latest/api/token", headers=life)
            headers = {"X-aws-ec2-metadata-token": _text(token)}
            role = _text(await client.request("GET", f"{base}{_ROLES}", headers=headers)).splitlines()[0]
            return _of_json(await client.request("GET", f"{base}{_ROLES}{quote(role)}", headers=headers))
        except (RequestFailedError, NoCredentialsError, IndexError):
            return None


def _form(**fields: str) -> bytes:
    return urlencode({**fields, "Version": "2011-06-15"}).encode()


def _text(answer: Answer) -> str:
    if answer.status != 200:
        raise NoCredentialsError(f"no keys for AWS: {answer}")
    return answer.body.decode("ascii", "replace").strip()


def _of_json(answer: Answer) -> tuple[AwsCredentials, float]:
    try:
        found: Any = json.loads(_text(answer))
        parts = [str(found[name]) for name in ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")]
    except (ValueError, KeyError, TypeError):
        raise NoCredentialsError("no keys for AWS: the service's answer has none") from None
    return _of_parts(*parts)


def _of_xml(answer: Answer) -> tuple[AwsCredentials, float]:
    text = _text(answer)
    found = [re.search(rf"<{name}>([^<]*)</{name}>", text) for name in _PARTS]
    parts = [each[1] for each in found if each is not None]
    if len(parts) < len(_PARTS):
        raise NoCredentialsError("no keys for AWS: STS's answer has none")
    return _of_parts(*parts)


def _of_parts(access: str, secret: str, token: str, end: str) -> tuple[AwsCredentials, float]:
    try:
        until = datetime.fromisoformat(end).timestamp()
    except ValueError:
        raise NoCredentialsError(f"no keys for AWS: they end at {end[:40]!r}, which is no time") from None
    return AwsCredentials(access, secret, token), until
