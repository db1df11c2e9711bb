"""The headers of requests, and who sends them."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from logpipe import Chunk, OutputHost, PermanentError
from logpipe.builtin.out_http.options import CONTENT_TYPES, HttpOptions
from logpipe.net import AwsCredentials, AwsKeys, AwsSigner, check_header

_JSON: Final = "application/json"


class Headers:
    """Makes the headers of one output's requests; of two with one name the later setting counts, as in fluentd.

    Args:
        options: its settings.
        host: its host.
        user: the user's name and password that the endpoint has.
    """

    def __init__(self, options: HttpOptions, host: OutputHost, user: tuple[str, str] | None) -> None:
        self._host = host
        self._filled = dict(options.headers_from_placeholders or {})
        content_type = options.content_type or (_JSON if options.json_array else CONTENT_TYPES[options.format.type])
        self._content_type = content_type
        self._before = dict(options.headers or {})
        self._after = {"Content-Type": content_type}
        if options.compress == "gzip":
            self._after["Content-Encoding"] = "gzip"
        auth = options.auth
        if auth is not None and auth.method == "basic":
            user = (auth.username or "", auth.password or "")
        if user is not None and (auth is None or auth.method == "basic"):
            self._after["Authorization"] = f"Basic {base64.b64encode(':'.join(user).encode()).decode()}"
        self._signer: AwsSigner | None = None
        self._keys: AwsKeys | None = None
        if auth is not None and auth.method == "aws_sigv4":
            region = auth.aws_region or ""
            self._signer = AwsSigner(auth.aws_service or "", region)
            self._keys = AwsKeys(os.environ, Path.home(), region, host.clock.now, auth.aws_role_arn or "")

    def of(self, chunk: Chunk) -> dict[str, str]:
        """Return the headers of a chunk, without a signature.

        Raises:
            PermanentError: a value from its events can stand in no header.
        """
        filled: dict[str, str] = {}
        for name, template in self._filled.items():
            value = filled[name] = self._host.expand(template, chunk)
            try:
                check_header(name, value)
                value.encode()
            except ValueError as problem:
                raise PermanentError(f"no header can have this value: {problem}") from None
        found: dict[str, tuple[str, str]] = {}
        for name, value in (*self._before.items(), *filled.items(), *self._after.items()):
            found[name.lower()] = (name, value)
        return dict(found.values())

    @property
    def own(self) -> dict[str, str]:
        """Those of each request that no event has a part in, for one without a body; without a signature."""
        found = {name.lower(): (name, value) for name, value in (*self._before.items(), *self._after.items())}
        return dict(value for name, value in found.items() if name != "content-encoding")

    async def keys(self) -> AwsCredentials | None:
        """Return the keys of AWS; None where requests are not signed.

        Raises:
            NoCredentialsError: there are none.
        """
        return None if self._keys is None else await self._keys.current()

    def signature(
        self, method: str, url: str, body: Sequence[bytes], credentials: AwsCredentials | None
    ) -> dict[str, str]:
        """Return the headers that sign a request; none without keys."""
        if self._signer is None or credentials is None:
            return {}
        return self._signer.sign(
            method,
            url,
            {"Content-Type": self._content_type},
            body,
            credentials=credentials,
            now=self._host.clock.now(),
        )
