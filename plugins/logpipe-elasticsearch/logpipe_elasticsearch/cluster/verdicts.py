"""What the answer to a bulk request says of each document."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from logpipe import DeliveryError, PermanentError, RetryLater
from logpipe.bulk import Judged, RequestTooLargeError, shortened
from logpipe.net import AGAIN, Answer
from logpipe_elasticsearch.cluster.cluster import read_json

_BAD_REQUEST: Final = 400
_CONFLICT: Final = 409
_TOO_LARGE: Final = 413
DONE: Final = range(200, 300)
_OPERATIONS: Final = ("index", "create", "update", "delete")
_BLOCKED: Final = "cluster_block_exception"
_OWN_BLOCKS: Final = ("FORBIDDEN/5/", "FORBIDDEN/8/", "FORBIDDEN/9/")
"""Blocks that somebody has laid on one index: read-only, no writes, closed for metadata. Others pass by themselves."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say of errors."""

    product: str
    refused_types: Collection[str] = ()
    """Types of errors after which a document is not sent again, whatever its status."""


def judged(answer: Answer, count: int, rules: Rules) -> Judged:
    """Return what an answer says of the documents of its request.

    Args:
        answer: it.
        count: of the documents.
        rules: what the settings say.

    Raises:
        RequestTooLargeError: the request must have less documents.
        PermanentError: it is refused as a whole for what it holds.
        RetryLater: it is refused as a whole, which may pass, or somebody can mend it.
        DeliveryError: nothing can be told from the answer.
    """
    if answer.status == _TOO_LARGE:
        raise RequestTooLargeError(str(answer))
    if answer.status == _BAD_REQUEST:
        raise PermanentError(str(answer))
    if answer.status not in DONE:
        raise RetryLater(str(answer), after=answer.retry_after())
    if answer.is_cut and b'"items"' in answer.body[:1000]:
        # reasons repeat what documents hold: about fewer documents it is shorter
        raise RequestTooLargeError(f"the answer has more than {len(answer.body)} bytes")
    said = read_json(answer)
    items = said.get("items") if isinstance(said, dict) else None
    if not isinstance(items, list) or len(items) != count:
        found = f"{len(items)} documents" if isinstance(items, list) else "none"
        raise DeliveryError(f"the answer is about {found}, and {count} were sent: {answer}")
    refused: dict[int, str] = {}
    busy: dict[int, str] = {}
    for number, item in enumerate(items):
        operation, details = _details(item)
        status, error = _number(details.get("status")), details.get("error")
        if status is None:
            # nothing tells what became of it; the others are not sent a second time because of that
            busy[number] = f"the answer cannot be read: {shortened(str(item))}"
        elif status in DONE and not error:
            continue
        elif status == _CONFLICT and operation == "create":
            continue  # compat: a document that is there already was delivered before
        else:
            told, type_, reason = _told(status, error, rules)
            (busy if _may_pass(status, operation, type_, reason, rules) else refused)[number] = told
    return Judged(refused, busy, answer.retry_after())


def _details(item: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(item, dict):
        for operation in _OPERATIONS:
            if isinstance(details := item.get(operation), dict):
                return operation, details
    return "", {}


def _number(value: Any) -> int | None:
    """Return a status, which proxies and other servers may write as a text; None for what is none."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        return int(value)
    return value if type(value) is int else None


def _may_pass(status: int, operation: str, type_: str, reason: str, rules: Rules) -> bool:
    """Return whether the same document may be taken later."""
    if type_ in rules.refused_types:
        return False
    if type_ == _BLOCKED:
        return not any(block in reason for block in _OWN_BLOCKS)
    if status == _CONFLICT:
        return operation == "update"  # another update of it was quicker
    return status in AGAIN or status >= 500


def _told(status: int, error: Any, rules: Rules) -> tuple[str, str, str]:
    """Return the message about an error, its type, and the server's words."""
    if isinstance(error, str):  # of Elasticsearch 1
        type_, _, reason = error.partition("[")
        return f"{status} - {shortened(error)}", type_, reason
    if not isinstance(error, dict):
        return f"{status} - No error type provided in the response", "", ""  # compat
    type_, reason = str(error.get("type", "")), str(error.get("reason", ""))
    text = reason
    cause = error.get("caused_by")
    while isinstance(cause, dict) and len(text) < 1000:
        text += f", caused by {cause.get('type', '')}: {cause.get('reason', '')}"
        cause = cause.get("caused_by")
    head = f"{status} - Rejected by {rules.product}" if status == _BAD_REQUEST else f"{status}"
    # compat: the message of elasticsearch_error_handler.rb with log_es_400_reason
    return f"{head} [error type]: {type_} [reason]: '{shortened(text)}'", type_, reason
