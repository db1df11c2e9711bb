"""URI, CGI and IPAddr: parsing addresses, never opening them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, quote, quote_plus, unquote, unquote_plus, urljoin, urlsplit

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.arithmetic import string_argument
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.text import to_s
from logpipe.expression.runtime.values import Range, from_key

methods = Methods()

_PORTS: Final = {"http": 80, "https": 443, "ftp": 21, "ldap": 389, "ldaps": 636, "ws": 80, "wss": 443}
_INVALID: Final = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}\udc80-\udcff]|[^\x00-\x7f]")
_SAFE_IN_URI: Final = ";/?:@&=+$,[]-_.!~*'()"


class Uri:
    """A parsed URI."""

    __slots__ = ("parts", "ruby_text")

    def __init__(self, text: str) -> None:
        self.ruby_text = text
        self.parts: SplitResult = urlsplit(text)

    @property
    def ruby_class(self) -> str:
        """The Ruby class, by scheme."""
        scheme = self.parts.scheme.upper()
        return f"URI::{scheme}" if scheme.lower() in _PORTS else "URI::Generic"


@methods.function("URI", names="parse")
def parse(value: Any) -> Uri:
    """Return a parsed URI.

    Raises:
        RubyError: the text is not a URI (URI::InvalidURIError).
    """
    text = string_argument(value)
    if not _INVALID.search(text):
        try:
            uri = Uri(text)
            uri.parts.port  # noqa: B018 - reading it is what checks it
        except ValueError:
            pass
        else:
            return uri
    raise RubyError("URI::InvalidURIError", f"bad URI(is not URI?): {text}")


methods.function("", names="URI")(parse)


@methods.function("URI", names="join")
def join(base: Any, *others: Any) -> Uri:
    """Return an address relative to another."""
    text = string_argument(base)
    for other in others:
        text = urljoin(text, string_argument(other))
    return parse(text)


def _request(uri: Uri) -> str:
    return (uri.parts.path or "/") + (f"?{uri.parts.query}" if uri.parts.query else "")


_OF_URI: Final[dict[str, Callable[[Uri], Any]]] = {
    "host hostname": lambda uri: uri.parts.hostname,
    "port": lambda uri: uri.parts.port or _PORTS.get(uri.parts.scheme),
    "scheme": lambda uri: uri.parts.scheme or None,
    "query": lambda uri: uri.parts.query or None,
    "fragment": lambda uri: uri.parts.fragment or None,
    "user": lambda uri: uri.parts.username,
    "userinfo": lambda uri: uri.parts.netloc.rpartition("@")[0] or None,
    "request_uri": _request,
}
_TEXTS_OF_URI: Final[dict[str, Callable[[Uri], str]]] = {
    "path": lambda uri: uri.parts.path,
    "to_s": lambda uri: uri.ruby_text,
}
methods.each_of(Uri, named=_OF_URI)
methods.each_of(Uri, named=_TEXTS_OF_URI, returns=str)


@methods.function("CGI", names="escape", returns=str)
def cgi_escape(text: Any) -> str:
    """Return the text for a form: blanks as plus signs, all but letters, digits and `-._~` in hexadecimal."""
    return quote_plus(string_argument(text), safe="~", errors="surrogateescape")


@methods.function("URI", names="encode_www_form_component", returns=str)
def form_escape(text: Any) -> str:
    """Return the text for a form: blanks as plus signs, all but letters, digits and `*-._` in hexadecimal."""
    return quote_plus(to_s(text), safe="*", errors="surrogateescape").replace("~", "%7E")


@methods.function("CGI", names="unescape", returns=str)
@methods.function("URI", names="decode_www_form_component", returns=str)
def form_unescape(text: Any) -> str:
    """Return the decoded text of a form."""
    return unquote_plus(string_argument(text), errors="surrogateescape")


@methods.function("URI", names="encode escape", returns=str)
def uri_escape(text: Any) -> str:
    """Return the text with characters that are invalid in URIs in hexadecimal."""
    return quote(string_argument(text), safe=_SAFE_IN_URI, errors="surrogateescape")


@methods.function("URI", names="decode unescape decode_uri_component", returns=str)
def uri_unescape(text: Any) -> str:
    """Return the decoded text of a URI."""
    return unquote(string_argument(text), errors="surrogateescape")


@methods.function("URI", names="encode_uri_component", returns=str)
@methods.function("ERB::Util", names="url_encode u", returns=str)
def component_escape(text: Any) -> str:
    """Return the text with all but letters, digits and `-._~` in hexadecimal."""
    return quote(to_s(text), safe="~", errors="surrogateescape")


@methods.function("URI", names="decode_www_form", returns=list)
def decode_form(text: Any) -> list[Any]:
    """Return the pairs of a query."""
    pairs = (item.partition("=") for item in re.split("[&;]", string_argument(text)) if item)
    return [[form_unescape(name), form_unescape(value)] for name, _, value in pairs]


@methods.function("URI", names="encode_www_form", returns=str)
def encode_form(values: Any) -> str:
    """Return pairs as a query."""
    pairs = [(from_key(key), item) for key, item in values.items()] if isinstance(values, dict) else values
    written: list[str] = []
    for key, value in pairs:
        items = value if isinstance(value, list) else [value]
        written += [form_escape(key) + ("" if item is None else f"={form_escape(item)}") for item in items]
    return "&".join(written)


@methods.function("CGI", names="parse", returns=dict)
def parse_query(text: Any) -> dict[str, Any]:
    """Return a query's values by name, each a list."""
    found: dict[str, Any] = {}
    for name, value in decode_form(text):
        found.setdefault(name, []).append(value)
    return found


@methods.function("CGI", names="escapeHTML escape_html h", returns=str)
def escape_html(text: Any) -> str:
    """Return the text with HTML markup escaped."""
    for char, written in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        text = string_argument(text).replace(char, f"&{written};")
    return str(text)


@methods.function("CGI", names="unescapeHTML unescape_html", returns=str)
def unescape_html(text: Any) -> str:
    """Return the text with HTML's escapes decoded."""
    import html  # noqa: PLC0415 - its table of entities is large

    return html.unescape(string_argument(text))


class Address:
    """An IP address, or a network of them."""

    __slots__ = ("network", "ruby_text")

    ruby_class = "IPAddr"

    def __init__(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
        self.network = network
        self.ruby_text = str(network.network_address)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.network == other.network

    def __hash__(self) -> int:
        return hash(self.network)

    def covers(self, value: Any) -> bool:
        """Return whether the network contains an address; False for other values."""
        try:
            return contains(self, value)
        except RubyError:
            return False


@methods.function("IPAddr", names="new")
def new_address(value: Any) -> Address:
    """Return the address or network that a text names.

    Raises:
        RubyError: it is not one (IPAddr::InvalidAddressError).
    """
    if isinstance(value, Address):
        return value
    text = string_argument(value).strip("[]")
    try:
        return Address(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise RubyError("IPAddr::InvalidAddressError", f"invalid address: {text}") from None


def _is_private(address: Address) -> bool:
    return address.network.is_private and not address.network.is_loopback and not address.network.is_link_local


def _inspected(address: Address) -> str:
    network = address.network
    whole, mask = network.network_address.exploded, network.netmask.exploded
    return f"#<IPAddr: IPv{network.version}:{whole}/{mask}>"


_TESTS_OF_ADDRESS: Final[dict[str, Callable[[Address], bool]]] = {
    "ipv4?": lambda address: address.network.version == 4,
    "ipv6?": lambda address: address.network.version == 6,
    "private?": _is_private,
    "loopback?": lambda address: address.network.is_loopback,
    "link_local?": lambda address: address.network.is_link_local,
}
_TEXTS_OF_ADDRESS: Final[dict[str, Callable[[Address], str]]] = {
    "to_s": lambda address: address.ruby_text,
    "to_string": lambda address: address.network.network_address.exploded,
    "inspect": _inspected,
    "reverse": lambda address: address.network.network_address.reverse_pointer,
}
_NUMBERS_OF_ADDRESS: Final[dict[str, Callable[[Address], int]]] = {
    "to_i": lambda address: int(address.network.network_address),
    "prefix": lambda address: address.network.prefixlen,
}
methods.each_of(Address, named=_TESTS_OF_ADDRESS, returns=bool)
methods.each_of(Address, named=_TEXTS_OF_ADDRESS, returns=str)
methods.each_of(Address, named=_NUMBERS_OF_ADDRESS, returns=int)


@methods.of(Address, names="include?", returns=bool)
def contains(address: Address, other: Any) -> bool:
    """Return whether a network contains an address."""
    inner = new_address(other).network
    return inner.version == address.network.version and inner.subnet_of(address.network)  # type: ignore[arg-type]  # same version


@methods.of(Address, names="to_range")
def address_range(address: Address) -> Range:
    """Return the range from the first to the last address of a network."""
    last = ipaddress.ip_network(address.network.broadcast_address)
    return Range(Address(ipaddress.ip_network(address.network.network_address)), Address(last), exclusive=False)


@methods.of(Address, names="mask")
def mask(address: Address, bits: Any) -> Address:
    """Return the network that the address belongs to."""
    return new_address(f"{address.ruby_text}/{to_s(bits)}")
