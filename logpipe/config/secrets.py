"""Detects secrets by the names of parameters and by patterns in values, and masks them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MASK: Final = "xxxxxx"
"""Shown in place of a secret, as in fluentd's log."""

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_LAST: Final = frozenset(
    {"apikey", "authorization", "connectionstring", "credential", "credentials", "dsn", "pass", "passcode"}
    | {"passphrase", "passwd", "password", "passwords", "pwd", "secret", "secrets", "signature", "token", "tokens"}
)
_BEFORE_KEY: Final = frozenset(
    {"access", "account", "admin", "api", "auth", "connection", "encryption", "hmac", "json", "license", "master"}
    | {"private", "sas", "sec", "secret", "shared", "signing", "ssh"}
)
"""Words before `key` that make it a secret; `topic_key` and `ssl_client_cert_key`, the path of a file, are not."""

_GIVEN: Final = re.compile(r"""(["']?)([A-Za-z][\w.-]*)\1\s*(?:=>|[:=])\s*""")
_VALUE: Final = re.compile(
    r"""(?P<quote>["'])(?:(?!(?P=quote))[^\\]|\\.)+(?P=quote)"""
    r"""|(?:(?:Bearer|Basic|Token|Splunk|ApiKey)\s+)?[^\s,;&}\]"']+"""
)
_BEARER: Final = re.compile(r"\b(Bearer|Splunk|Basic)\s+(?=[\w.~+/-]*[\d=.])[\w.~+/=-]{6,}")
_USER_INFO: Final = re.compile(r"(?<=://)([^\s/@:'\"]*)(:[^\s/@'\"]*(?:@[^\s/@'\"]*)*)?(?=@)")
_WITHOUT_SCHEME: Final = re.compile(r"(?<![\w/:@.])([\w.%-]+):([^\s:/@'\",]+)@(?=[\w\[])")
_LINE: Final = re.compile(r"""(\s*(?:-\s+)?(["']?)([^\s"'#<:]+)\2\s*:?\s+)(\S.*)""")

_SHORTEST: Final = 6
"""Characters; shorter values of variables are not masked in texts, where they may occur by chance."""

declared: Final[set[str]] = set()
"""Names that a plugin has declared to be secret."""


@lru_cache(maxsize=4096)
def _is_secret_name(name: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    before = words[-2] if len(words) > 1 else ""
    return (
        words[-1] in _LAST
        or (words[-1] in {"key", "keys"} and before in _BEFORE_KEY)
        or (before, words[-1]) in {("connection", "string"), ("jaas", "config"), ("conn", "str")}
    )


def is_secret_name(name: str) -> bool:
    """Return whether a name is that of a secret: `db_password`, `apiToken`, `x-api-key`; not `private_key_path`."""
    return name in declared or _is_secret_name(name)


def masked_text(text: str, *, env: Mapping[str, str] | None = None) -> str:
    """Return a text with its secrets masked.

    They are the passwords and tokens of URLs, the values of secret names (`password=…`, `"token":"…"`), and the values
    of environment variables with such names.
    """
    for name, value in (os.environ if env is None else env).items():
        if len(value) >= _SHORTEST and value in text and is_secret_name(name):
            text = text.replace(value, MASK)
    text = masked_urls(text)
    return _masked_pairs(text) if "=" in text or ":" in text else text


def masked_urls(text: str) -> str:
    """Return a text with the passwords and tokens of its URLs and authorization headers masked."""
    if "@" in text:
        text = _USER_INFO.sub(lambda found: f"{found[1]}:{MASK}" if found[2] else MASK, text)
        text = _WITHOUT_SCHEME.sub(rf"\1:{MASK}@", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def masked_line(line: str) -> str:
    """Return a line of a configuration with its secrets masked."""
    found = _LINE.fullmatch(line)
    if found is not None and is_secret_name(found[3]):
        return f"{found[1]}{MASK}"
    return masked_text(line)


def _masked_pairs(text: str) -> str:
    """Mask the values of secret names: `token=…`, `"token":"…"`."""
    parts, at = [], 0
    for given in _GIVEN.finditer(text):
        value = _VALUE.match(text, given.end()) if given.start() >= at and is_secret_name(given[2]) else None
        if value is not None:
            quote = value["quote"] or ""
            parts += [text[at : value.start()], quote, MASK, quote]
            at = value.end()
    return "".join([*parts, text[at:]])
