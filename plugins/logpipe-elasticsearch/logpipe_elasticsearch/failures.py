"""Which failures of a bulk request `ignore_exceptions` is about: the names that they have in Ruby.

Rules: the end of send_bulk in out_elasticsearch.rb, and the classes of Faraday and of the transports' errors.rb.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from typing import Final

from logpipe import DeliveryError
from logpipe.net import Answer, RequestFailedError

_STATUSES: Final = {
    300: "MultipleChoices",
    301: "MovedPermanently",
    302: "Found",
    303: "SeeOther",
    304: "NotModified",
    305: "UseProxy",
    307: "TemporaryRedirect",
    308: "PermanentRedirect",
    400: "BadRequest",
    401: "Unauthorized",
    402: "PaymentRequired",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    407: "ProxyAuthenticationRequired",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    411: "LengthRequired",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    414: "RequestURITooLong",
    415: "UnsupportedMediaType",
    416: "RequestedRangeNotSatisfiable",
    417: "ExpectationFailed",
    418: "ImATeapot",
    421: "TooManyConnectionsFromThisIP",
    426: "UpgradeRequired",
    429: "TooManyRequests",
    450: "BlockedByWindowsParentalControls",
    494: "RequestHeaderTooLarge",
    497: "HTTPToHTTPS",
    499: "ClientClosedRequest",
    500: "InternalServerError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
    505: "HTTPVersionNotSupported",
    506: "VariantAlsoNegotiates",
    510: "NotExtended",
}
_TRANSPORTS: Final = ("Elasticsearch::Transport", "Elastic::Transport", "OpenSearch::Transport")
"""Of elasticsearch-transport up to 7, elastic-transport, and opensearch-ruby."""
_HANDLERS: Final = ("Elasticsearch", "OpenSearch")
_ALL: Final = ("StandardError", "Exception", "Object")
_LATE: Final = ("Faraday::TimeoutError", "Faraday::Error::TimeoutError", "Faraday::ServerError")
_BROKEN: Final = ("Faraday::ConnectionFailed", "Faraday::Error::ConnectionFailed")
_TLS: Final = ("Faraday::SSLError", "Faraday::Error::SSLError")
_FARADAY: Final = ("Faraday::Error", "Faraday::ClientError")
_UNREADABLE: Final = tuple(
    f"Fluent::Plugin::{name}ErrorHandler::{name}{what}Mismatch" for name in _HANDLERS for what in ("Version", "Submit")
)


def names_of(problem: DeliveryError | Answer) -> set[str]:
    """Return the names that a failure of a bulk request has in Ruby, with those of its class's bases.

    Args:
        problem: an answer whose status is no success; that there is none, or that it cannot be read.
    """
    if isinstance(problem, Answer):
        return {*_of_status(_STATUSES.get(problem.status)), *_ALL}
    if not isinstance(problem, RequestFailedError):
        return {*_UNREADABLE, "Fluent::UnrecoverableError", *_ALL}
    cause = problem.__cause__
    own = _LATE if isinstance(cause, TimeoutError) else _TLS if isinstance(cause, ssl.SSLError) else _BROKEN
    return {*own, *_FARADAY, *_ALL}


def unknown_names(names: Iterable[str]) -> list[str]:
    """Return those that no failure has."""
    known = {*_LATE, *_BROKEN, *_TLS, *_FARADAY, *_ALL, *_UNREADABLE, "Fluent::UnrecoverableError"}
    for status in _STATUSES.values():
        known.update(_of_status(status))
    return [name for name in names if plain_name(name) not in known]


def plain_name(name: str) -> str:
    """Return a name without the colons that it may begin with."""
    return name.strip().removeprefix("::")


def _of_status(name: str | None) -> Iterator[str]:
    for transport in _TRANSPORTS:
        yield f"{transport}::Transport::Error"
        yield f"{transport}::Transport::ServerError"
        if name is not None:
            yield f"{transport}::Transport::Errors::{name}"
