"""Requests about a bucket and its objects."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from logpipe import DeliveryError, OutputHost, PermanentError, RetryLater
from logpipe.net import Answer, ClientSettings, ClientTls, Verdict, environment_proxy
from logpipe_aws.s3.options import BucketOptions
from logpipe_aws.service import AwsService, code_of

CHUNK: Final = "x-amz-meta-logpipe-chunk"
"""Metadata of each object: the id of the chunk that it was made of."""
_NOT_FOUND: Final = 404
_SECONDS: Final = 60
_WHOLE_SECONDS: Final = 3600
"""For one request: an object may be large, and the line slow."""
_REFUSED: Final = frozenset({"EntityTooLarge", "KeyTooLongError", "InvalidURI", "XMinioInvalidObjectName"})
"""Codes that nothing but another chunk changes."""
_LATER: Final = frozenset({"SlowDown", "RequestTimeout", "OperationAborted", "ThrottlingException"})
_IN_HOST: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_ADDRESS: Final = re.compile(r"[0-9.]+|.*:.*")


class Bucket:
    """One bucket; nothing is opened before the first request.

    Args:
        options: where it is.
        host: the output's.
        customer_key: how S3 is to encrypt with a key of the user's: algorithm and key.
    """

    def __init__(self, options: BucketOptions, host: OutputHost, customer_key: tuple[str, str] | None = None) -> None:
        self.url = bucket_url(options)
        self._region = options.s3_region
        self._customer = {} if customer_key is None else _customer_headers(*customer_key)
        self._service = AwsService(
            host,
            service="s3",
            region=options.s3_region,
            keys=options.keys(options.s3_region, host.clock.now),
            settings=_client_settings(options, self.url),
        )

    def check(self) -> None:
        """Read the files of TLS.

        Raises:
            TlsError: one of them cannot be used.
        """
        if self.url.startswith("https:"):
            self._service.check()

    async def stop(self) -> None:
        """Close the connections."""
        await self._service.stop()

    async def exists(self) -> bool:
        """Return whether there is such a bucket.

        Raises:
            DeliveryError: nobody can tell.
        """
        answer = await self._service.request("HEAD", f"{self.url}/", headers={})
        return _is_there(answer, f"bucket {self.url}")

    async def create(self) -> None:
        """Make it.

        Raises:
            DeliveryError: it does not go.
        """
        body = b""
        if self._region != "us-east-1":
            body = (
                b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>'
                + self._region.encode()
                + b"</LocationConstraint></CreateBucketConfiguration>"
            )
        answer = await self._service.request("PUT", f"{self.url}/", headers={}, body=(body,))
        if code_of(answer) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            _check(answer, f"bucket {self.url}")

    async def holder(self, key: str) -> str | None:
        """Return of which chunk the object of a key is, "" where it does not say; None where there is no object.

        Raises:
            DeliveryError: nobody can tell.
        """
        answer = await self._service.request("HEAD", self._url(key), headers=self._customer)
        return answer.headers.get(CHUNK, "") if _is_there(answer, key) else None

    async def put(self, key: str, headers: Mapping[str, str], body: Sequence[bytes]) -> None:
        """Write an object, in place of one that has its key.

        Raises:
            PermanentError: there is never an object of that key, or that size.
            DeliveryError: it is to be tried again.
        """
        _check(
            await self._service.request("PUT", self._url(key), headers={**headers, **self._customer}, body=body), key
        )

    async def probe(self) -> str:
        """Ask for the bucket, and return what is answered, for `check --connect`.

        Raises:
            DeliveryError: its keys are not let in.
        """
        return "the bucket is there" if await self.exists() else "there is no such bucket yet"

    def _url(self, key: str) -> str:
        return f"{self.url}/{quote(key, safe='/~')}"


def bucket_url(options: BucketOptions) -> str:
    """Return a bucket's URL, without a slash behind: of AWS or `s3_endpoint`, with the bucket in host or path."""
    name, region = options.s3_bucket, options.s3_region
    if options.s3_endpoint:
        parts = urlsplit(options.s3_endpoint)
        scheme, host = parts.scheme or "https", parts.netloc
    else:
        scheme = "https"
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        host = f"s3.dualstack.{region}.{domain}" if options.enable_dual_stack else f"s3.{region}.{domain}"
        if options.enable_transfer_acceleration:
            host = f"s3-accelerate.{'dualstack.' if options.enable_dual_stack else ''}amazonaws.com"
    is_address = _ADDRESS.fullmatch(urlsplit(f"//{host}").hostname or "") is not None
    if options.force_path_style or is_address or not _IN_HOST.fullmatch(name):
        return f"{scheme}://{host}/{quote(name, safe='')}"
    return f"{scheme}://{name}.{host}"


def _is_there(answer: Answer, what: str) -> bool:
    if answer.status == _NOT_FOUND:
        return False
    if answer.status == 403:
        # S3 answers so to whoever must not list the bucket, whether there is an object or not
        raise DeliveryError(
            f"{what}: {answer}: the keys must have s3:ListBucket of the bucket, or write check_object false and "
            "check_bucket false"
        )
    _check(answer, what)
    return True


def _check(answer: Answer, what: str) -> None:
    """Return if a request was done.

    Raises:
        PermanentError: it never will be.
        RetryLater: S3 asks for patience.
        DeliveryError: somebody may mend it.
    """
    verdict, code = answer.verdict(), code_of(answer)
    if verdict is Verdict.DELIVERED:
        return
    region = answer.headers.get("x-amz-bucket-region", "")
    said = f"{what[:200]}: {answer}" + (f"; the bucket is in {region[:40]}: write s3_region" if region else "")
    if code in _REFUSED or answer.status == 413:
        raise PermanentError(said)
    if verdict is Verdict.AGAIN or code in _LATER:
        raise RetryLater(said, after=answer.retry_after())
    raise DeliveryError(said)


def _customer_headers(algorithm: str, key: str) -> dict[str, str]:
    name = "x-amz-server-side-encryption-customer"
    digest = hashlib.md5(key.encode(), usedforsecurity=False).digest()
    return {
        f"{name}-algorithm": algorithm,
        f"{name}-key": base64.b64encode(key.encode()).decode(),
        f"{name}-key-MD5": base64.b64encode(digest).decode(),
    }


def _client_settings(options: BucketOptions, url: str) -> ClientSettings:
    paths = (options.ssl_ca_bundle,) if options.ssl_ca_bundle else ()
    return ClientSettings(
        tls=ClientTls(paths, trusts_system=not paths, verify=options.ssl_verify_peer),
        proxy=options.proxy_uri or environment_proxy(url, os.environ),
        open_seconds=_SECONDS,
        read_seconds=_SECONDS,
        whole_seconds=_WHOLE_SECONDS,
    )
