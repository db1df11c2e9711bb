"""Encodings by Ruby's names."""

from __future__ import annotations

import codecs
from typing import Final

from logpipe import InvalidSetting

_RUBY_NAMES: Final = {
    "ascii-8bit": "",
    "binary": "",
    "us-ascii": "",
    "ascii": "",
    "utf-8": "",
    "utf8": "",
    "utf-8-mac": "",
    "utf8-mac": "",
    "windows-31j": "cp932",
    "cswindows31j": "cp932",
    "sjis": "cp932",
    "eucjp": "euc_jp",
    "eucjp-ms": "euc_jp",
    "cp51932": "euc_jp",
    "euckr": "euc_kr",
    "euctw": "euc_tw",
    "macjapanese": "shift_jis",
}
"""Encodings by Ruby's names where Python has another; empty for those that parsers read as they are."""


def codec_of(name: str, param: str) -> str:
    """Return Python's name of an encoding, empty where nothing is to be done."""
    known = _RUBY_NAMES.get(name.lower())
    if known is not None:
        return known
    try:
        codec = codecs.lookup(name)
        "\n".encode(codec.name)
    except (LookupError, ValueError, TypeError):
        raise InvalidSetting(f'unknown encoding name "{name}": write UTF-8, Shift_JIS, …', param=param) from None
    return "" if codec.name in {"utf-8", "ascii"} else codec.name
