"""Requests to CloudWatch Logs.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import orjson

from logpipe import DeliveryError, OutputHost, RetryLater
from logpipe.bulk import BulkRequest, Judged, RequestTooLargeError, shortened
from logpipe.net import Answer, ClientSettings, ClientTls, Verdict, environment_proxy
from logpipe_aws.cloudwatch.events import Target, Wish, time_of
from logpipe_aws.cloudwatch.options import LogsOptions
from logpipe_aws.service import AwsService

_SECONDS: Final = 60
_LATER: Final = frozenset({"ThrottlingException", "ServiceUnavailableException", "OperationAbortedException"})
_THERE: Final = "ResourceAlreadyExistsException"
_MISSING: Final = "ResourceNotFoundException"


class Logs:
    """Sends events, and makes groups and streams; nothing is opened before the first request.

    Args:
        options: the settings.
        host: the output's.
    """

    def __init__(self, options: LogsOptions, host: OutputHost) -> None:
        region = options.place()
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self.url = f"{(options.endpoint or f'https://logs.{region}.{domain}').rstrip('/')}/"
        self._options = options
        self._host = host
        self._service = AwsService(
            host,
            service="logs",
            region=region,
            keys=options.keys(region, host.clock.now),
            settings=ClientSettings(
                tls=ClientTls(verify=options.ssl_verify_peer),
                proxy=options.http_proxy or environment_proxy(self.url, os.environ),
                open_seconds=_SECONDS,
                read_seconds=_SECONDS,
            ),
        )

    async def stop(self) -> None:
        """Close the connections."""
        await self._service.stop()

    async def put(self, request: BulkRequest) -> Judged:
        """Send events and return what becomes of them; make what is missing, where that is wanted.

        Raises:
            RequestTooLargeError: one of them is refused: the request is divided.
            DeliveryError: it is to be tried again.
        """
        target = request.target
        assert isinstance(target, Target)  # noqa: S101 - as the entries are made
        order = sorted(range(len(request)), key=lambda place: time_of(request.parts[place]))
        parts = [request.parts[place] for place in order]
        head = orjson.dumps({"logGroupName": target.group, "logStreamName": target.stream})
        body = [head[:-1] + b',"logEvents":[', *parts[:-1], parts[-1][:-1] + b"]}"]
        what = f"{target.group} {target.stream}"
        answer = await self._call("PutLogEvents", body)
        if _code(answer) == _MISSING and self._options.auto_create_stream:
            await self._make(target)
            answer = await self._call("PutLogEvents", body)
        if _code(answer) == "DataAlreadyAcceptedException":
            return Judged()
        _check(answer, what)
        return self._judged(answer, order, what)

    def _judged(self, answer: Answer, order: list[int], what: str) -> Judged:
        said = _read(answer)
        rejected = said.get("rejectedLogEventsInfo") if isinstance(said, dict) else None
        if not isinstance(rejected, dict):
            return Judged()
        if self._options.log_rejected_request:
            self._host.log.warning("%s: %s", what, shortened(str(rejected)))
        count = len(order)
        refused: dict[int, str] = {}
        for name, reason, is_start in (
            ("expiredLogEventEndIndex", "it is older than the group keeps events", False),
            ("tooOldLogEventEndIndex", "it is older than 14 days, or than the group keeps events", False),
            ("tooNewLogEventStartIndex", "it is more than two hours in the future", True),
        ):
            index = rejected.get(name)
            if isinstance(index, int):
                places = range(max(0, index), count) if is_start else range(min(count, index))
                for place in places:
                    refused.setdefault(order[place], f"CloudWatch Logs rejects it: {reason}")
        return Judged(refused=refused)

    async def _make(self, target: Target) -> None:
        """Make the stream of a target, and its group where there is none.

        Raises:
            DeliveryError: it does not go.
        """
        names = {"logGroupName": target.group, "logStreamName": target.stream}
        answer = await self._ask("CreateLogStream", names)
        if _code(answer) == _MISSING:
            await self._make_group(target.group, target.wishes.by_group[target.group])
            answer = await self._ask("CreateLogStream", names)
        if _code(answer) != _THERE:
            _check(answer, f"{target.group} {target.stream}")

    async def _make_group(self, group: str, wish: Wish) -> None:
        self._host.log.info("creating log group %s", group)
        fields = {"logGroupName": group} | ({"tags": dict(wish.tags)} if wish.tags else {})
        answer = await self._ask("CreateLogGroup", fields)
        if _code(answer) == _THERE:
            return
        _check(answer, group)
        if wish.retention is not None:
            kept = {"logGroupName": group, "retentionInDays": wish.retention}
            answer = await self._ask("PutRetentionPolicy", kept)
            if answer.verdict() is not Verdict.DELIVERED:
                # compat: the message of out_cloudwatch_logs.rb
                said = "failed to set retention policy for Log group '%s' with error %s"
                self._host.log.warning(said, group, answer)

    async def probe(self) -> str:
        """Ask for one group, and return what is answered, for `check --connect`.

        Raises:
            DeliveryError: its keys are not let in.
        """
        answer = await self._ask("DescribeLogGroups", {"limit": 1})
        if _code(answer) == "AccessDeniedException":
            return "it must not list log groups, which events do not need"
        _check(answer, self.url)
        return "ok"

    async def _ask(self, action: str, fields: dict[str, Any]) -> Answer:
        return await self._call(action, [orjson.dumps(fields)])

    async def _call(self, action: str, body: Sequence[bytes]) -> Answer:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Logs_20140328.{action}"}
        return await self._service.request("POST", self.url, headers=headers, body=body)


def _read(answer: Answer) -> Any:
    """Return what an answer holds.

    Raises:
        DeliveryError: it is no JSON.
    """
    try:
        return orjson.loads(answer.body or b"{}")
    except ValueError:
        raise DeliveryError(f"the answer is no JSON: {answer}") from None


def _code(answer: Answer) -> str:
    """Return the name of an error; "" for none."""
    if answer.verdict() is Verdict.DELIVERED:
        return ""
    try:
        said = orjson.loads(answer.body)
    except ValueError:
        return ""
    name = said.get("__type") if isinstance(said, dict) else None
    return name.rpartition("#")[2] if isinstance(name, str) else ""


def _check(answer: Answer, what: str) -> None:
    """Return if a request was done.

    Raises:
        RequestTooLargeError: one of its events is to blame.
        RetryLater: it may be done later.
        DeliveryError: somebody may mend it.
    """
    verdict, code = answer.verdict(), _code(answer)
    if verdict is Verdict.DELIVERED:
        return
    said = f"{what[:200]}: {answer}"
    if code == "InvalidParameterException" or answer.status == 413:
        raise RequestTooLargeError(said)
    if verdict is Verdict.AGAIN or code in _LATER:
        raise RetryLater(said, after=answer.retry_after())
    raise DeliveryError(said)
