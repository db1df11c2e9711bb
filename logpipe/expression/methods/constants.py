"""JSON, Base64, Digest, SecureRandom, Math, and constants that are plain values."""

from __future__ import annotations

import base64
import binascii
import math
import os
import zlib
from collections.abc import Callable, Mapping
from random import SystemRandom
from types import MappingProxyType
from typing import Any, Final

from logpipe.expression.methods.binary import decode_base64, encode_lines
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.string import decoded, encoded
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.comparison import is_number
from logpipe.expression.runtime.failures import RubyError, check_size
from logpipe.expression.runtime.json import parse_json, pretty_json, to_json
from logpipe.expression.runtime.text import class_name
from logpipe.expression.runtime.values import Symbol

methods = Methods()

CONSTANTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "Float::INFINITY": math.inf,
        "Float::NAN": math.nan,
        "Float::EPSILON": 2.220446049250313e-16,
        "Float::MAX": 1.7976931348623157e308,
        "Float::MIN": 2.2250738585072014e-308,
        "Math::PI": math.pi,
        "Math::E": math.e,
        "Regexp::IGNORECASE": 1,
        "Regexp::EXTENDED": 2,
        "Regexp::MULTILINE": 4,
        "File::SEPARATOR": "/",
        "RUBY_VERSION": "3.2.0",
        "Encoding::UTF_8": "UTF-8",
        "Encoding::ASCII_8BIT": "ASCII-8BIT",
        "Encoding::BINARY": "ASCII-8BIT",
        "Encoding::US_ASCII": "US-ASCII",
        "Encoding::ISO_8859_1": "ISO-8859-1",
        "Encoding::Shift_JIS": "Shift_JIS",
        "Encoding::EUC_JP": "EUC-JP",
        "Encoding::Windows_1252": "Windows-1252",
    }
)


@methods.function("JSON", names="parse parse! restore")
def json_parse(text: Any, options: Any = None) -> Any:
    """Return the value of a JSON text."""
    return parse_json(text, symbolize=isinstance(options, dict) and options.get(Symbol.of("symbolize_names")) is True)


@methods.function("JSON", names="load")
def json_load(text: Any, _proc: Any = None, _options: Any = None) -> Any:
    """Return the value of a JSON text; nil for nil and for an empty text."""
    return None if text is None or text == "" else parse_json(text)


@methods.function("JSON", names="generate dump", returns=str)
def json_generate(value: Any, _options: Any = None) -> str:
    """Return a value as JSON."""
    return to_json(value)


@methods.function("JSON", names="pretty_generate", returns=str)
def json_pretty(value: Any, _options: Any = None) -> str:
    """Return a value as JSON with line breaks."""
    return pretty_json(value)


@methods.function("Base64", names="encode64", returns=str)
def base64_encode(text: Any) -> str:
    """Return Base64 with line breaks."""
    return encode_lines(encoded(string_argument(text)))


@methods.function("Base64", names="strict_encode64", returns=str)
def base64_strict(text: Any) -> str:
    """Return Base64 in one line."""
    return base64.b64encode(encoded(string_argument(text))).decode()


@methods.function("Base64", names="urlsafe_encode64", returns=str)
def base64_urlsafe(text: Any, options: Any = None) -> str:
    """Return Base64 with `-` and `_`; `padding: false` drops the equals signs."""
    written = base64.urlsafe_b64encode(encoded(string_argument(text))).decode()
    padded = not isinstance(options, dict) or options.get(Symbol.of("padding")) is not False
    return written if padded else written.rstrip("=")


@methods.function("Base64", names="decode64", returns=str)
def base64_decode(text: Any) -> str:
    """Return decoded Base64."""
    return decode_base64(string_argument(text))


@methods.function("Base64", names="strict_decode64", returns=str)
def base64_strict_decode(text: Any) -> str:
    """Return decoded Base64.

    Raises:
        RubyError: it has an invalid character (ArgumentError).
    """
    try:
        return decoded(base64.b64decode(string_argument(text), validate=True))
    except (binascii.Error, ValueError):
        raise RubyError("ArgumentError", "invalid base64") from None


@methods.function("Base64", names="urlsafe_decode64", returns=str)
def base64_urlsafe_decode(text: Any) -> str:
    """Return decoded Base64 with `-` and `_`."""
    return decode_base64(string_argument(text).translate({45: "+", 95: "/"}))


def _digest(constant: str, algorithm: str) -> None:
    def hexdigest(text: Any) -> str:
        import hashlib  # noqa: PLC0415 - it brings OpenSSL, some 4 MB

        return hashlib.new(algorithm, encoded(string_argument(text)), usedforsecurity=False).hexdigest()

    def digest(text: Any) -> str:
        return decoded(bytes.fromhex(hexdigest(text)))

    def base64digest(text: Any) -> str:
        return base64.b64encode(bytes.fromhex(hexdigest(text))).decode()

    for implementation in (hexdigest, digest, base64digest):
        methods.function(constant, names=implementation.__name__, returns=str)(implementation)


for _constant, _algorithm in (
    ("Digest::MD5", "md5"),
    ("Digest::SHA1", "sha1"),
    ("Digest::SHA2", "sha256"),
    ("Digest::SHA256", "sha256"),
    ("Digest::SHA384", "sha384"),
    ("Digest::SHA512", "sha512"),
    ("OpenSSL::Digest::SHA256", "sha256"),
    ("OpenSSL::Digest::SHA1", "sha1"),
    ("OpenSSL::Digest::MD5", "md5"),
):
    _digest(_constant, _algorithm)


@methods.function("OpenSSL::HMAC", names="hexdigest", returns=str)
def hmac_hexdigest(algorithm: Any, key: Any, text: Any) -> str:
    """Return a keyed digest.

    Raises:
        RubyError: the algorithm is not known (RuntimeError).
    """
    import hmac  # noqa: PLC0415 - it brings OpenSSL, some 4 MB

    name = string_argument(algorithm).lower().replace("-", "")
    if name not in ("md5", "sha1", "sha256", "sha384", "sha512"):
        raise RubyError("RuntimeError", f"Unsupported digest algorithm ({algorithm}).")
    return hmac.new(encoded(string_argument(key)), encoded(string_argument(text)), name).hexdigest()


@methods.function("Zlib", names="crc32", returns=int)
def crc32(text: Any = "", start: Any = 0) -> int:
    """Return the checksum."""
    return zlib.crc32(encoded(string_argument(text)), integer_argument(start))


_CHANCE: Final = SystemRandom()


def _count(value: Any) -> int:
    count = 16 if value is None else integer_argument(value)
    check_size(count)
    if count < 0:
        raise RubyError("ArgumentError", "negative string size (or size too big)")
    return count


@methods.function("SecureRandom", names="hex", returns=str)
def random_hex(count: Any = None) -> str:
    """Return random bytes in hexadecimal, 16 unless another number is given."""
    return os.urandom(_count(count)).hex()


@methods.function("SecureRandom", names="uuid", returns=str)
def random_uuid() -> str:
    """Return a random UUID."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@methods.function("SecureRandom", names="base64", returns=str)
def random_base64(count: Any = None) -> str:
    """Return random bytes in Base64."""
    return base64.b64encode(os.urandom(_count(count))).decode()


@methods.function("SecureRandom", names="urlsafe_base64", returns=str)
def random_urlsafe(count: Any = None) -> str:
    """Return random bytes in Base64 with `-` and `_`."""
    return base64.urlsafe_b64encode(os.urandom(_count(count))).decode().rstrip("=")


@methods.function("SecureRandom", names="alphanumeric", returns=str)
def random_alphanumeric(count: Any = None) -> str:
    """Return random letters and digits."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(map(_CHANCE.choice, [letters] * _count(count)))


@methods.function("SecureRandom", names="random_number rand")
def random_number(limit: Any = 0) -> Any:
    """Return a random number below a limit, or between 0 and 1."""
    if is_number(limit) and limit > 0:
        return _CHANCE.randrange(limit) if type(limit) is int else limit * _CHANCE.random()
    return _CHANCE.random()


def _cube_root(value: float) -> float:
    root = math.copysign(abs(value) ** (1 / 3), value)
    return root if root == 0 or not math.isfinite(root) else root - (root - value / root / root) / 3


_MATH: Final[dict[str, Callable[..., float]]] = {
    "sqrt": math.sqrt, "cbrt": _cube_root, "exp": math.exp, "log": math.log, "log2": math.log2, "log10": math.log10,
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "atan": math.atan, "atan2": math.atan2, "hypot": math.hypot,
}  # fmt: skip


def _math(name: str, compute: Callable[..., float]) -> None:
    def computed(value: Any, *more: Any) -> float:
        for number in (value, *more):
            if not is_number(number):
                shown = "nil" if number is None else class_name(number)
                raise RubyError("TypeError", f"can't convert {shown} into Float")
        try:
            return compute(value, *more)
        except ValueError:
            if name.startswith("log") and value == 0:
                return -math.inf
            raise RubyError("Math::DomainError", f'Numerical argument is out of domain - "{name}"') from None

    methods.function("Math", names=name, returns=float)(computed)


for _name, _compute in _MATH.items():
    _math(_name, _compute)
