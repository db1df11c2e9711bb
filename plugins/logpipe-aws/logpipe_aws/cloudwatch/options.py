"""The settings of out_cloudwatch_logs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Final, Literal

from logpipe import InvalidSetting, Options, PluginConf, Seconds, param, plugin_section, section
from logpipe.codec import InjectOptions
from logpipe.net import AwsSts
from logpipe_aws.credentials import TIMES, Keys, found_by, own_only

AGAIN: Final = "what is throttled is sent again by the buffer's `retry_*`, and never thrown away"
MOST_EVENTS: Final = 10_000
"""Of one request."""


def text_or_none(text: str) -> str | None:
    """Return None for a text that is empty, as `"#{ENV['X']}"` often is."""
    return text or None


def days(text: str) -> int | None:
    """Return a number of days; None for what is none, as `"#{ENV['X'] || 'nil'}"` is."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,4}", text) else None


class WebIdentityOptions(Options):
    """`<web_identity_credentials>`."""

    role_arn: str = param("The role whose keys are used.")
    role_session_name: str = param("The name of its session, which AWS's own logs show.")
    web_identity_token_file: str = param("The file with the token, which is read each time: Kubernetes renews it.")
    policy: str | None = param("A policy in JSON that the session's rights are limited by.", default=None)
    duration_seconds: Seconds | None = param("How long keys are good; unset: an hour.", default=None)


class AccessOptions(Options):
    """Where CloudWatch Logs is, and who sends."""

    region: str | None = param(
        "The region; unset: $AWS_REGION or $AWS_DEFAULT_REGION.", default=None, convert=text_or_none
    )
    endpoint: str | None = param("The URL of another server, a VPC's endpoint say.", default=None, convert=text_or_none)
    http_proxy: str | None = param(
        "The proxy's URL; unset: what the environment says.", default=None, convert=text_or_none
    )
    ssl_verify_peer: bool = param(
        "Whether the server's certificate must be for its name, by a trusted CA.", default=True
    )
    aws_key_id: str | None = param("The key's id.", default=None, secret=True)
    aws_sec_key: str | None = param("The key.", default=None, secret=True)
    aws_use_sts: bool = param("Assume the role of `aws_sts_role_arn`.", default=False)
    aws_sts_role_arn: str | None = param("The role.", default=None)
    aws_sts_session_name: str = param("The name of its session, which AWS's own logs show.", default="fluentd")
    aws_sts_external_id: str | None = param("What the role's owner has asked for.", default=None)
    aws_sts_policy: str | None = param("A policy in JSON that the session's rights are limited by.", default=None)
    aws_sts_duration_seconds: Seconds | None = param("How long keys are good; unset: an hour.", default=None)
    aws_sts_endpoint_url: str | None = param("STS's URL; unset: the region's.", default=None)
    aws_ecs_authentication: bool = param("Take keys from the container's service alone.", default=False)
    aws_instance_profile_credentials_retries: int | None = param(f"Accepted for compatibility; {TIMES}.", default=None)
    web_identity_credentials: WebIdentityOptions | None = section("A role that a token of Kubernetes is good for.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        yield from super().check()
        if self.endpoint and not re.fullmatch(r"https?://[^/?#\s]+/?", self.endpoint):
            yield InvalidSetting("write endpoint as a URL, https://HOST", param="endpoint", severity="warning")
        if self.aws_use_sts and not self.aws_sts_role_arn:
            yield InvalidSetting(
                "aws_use_sts needs a role: add aws_sts_role_arn", param="aws_use_sts", severity="warning"
            )

    def place(self) -> str:
        """Return the region; "" where nothing says it."""
        return self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""

    def keys(self, region: str, clock: Callable[[], int]) -> Keys:
        """Return what finds the keys, in the order of out_cloudwatch_logs.rb."""
        if self.aws_use_sts:
            fields = {
                "RoleSessionName": self.aws_sts_session_name,
                "ExternalId": self.aws_sts_external_id,
                "Policy": self.aws_sts_policy,
                "DurationSeconds": _whole(self.aws_sts_duration_seconds),
            }
            sts = AwsSts(endpoint=self.aws_sts_endpoint_url or "", fields=_given(fields))
            return found_by({}, region, clock, role=self.aws_sts_role_arn or "", sts=sts)
        if (web := self.web_identity_credentials) is not None:
            fields = {
                "RoleSessionName": web.role_session_name,
                "Policy": web.policy,
                "DurationSeconds": _whole(web.duration_seconds),
            }
            chosen = {"AWS_WEB_IDENTITY_TOKEN_FILE": web.web_identity_token_file, "AWS_ROLE_ARN": web.role_arn}
            return found_by(own_only(chosen), region, clock, sts=AwsSts(fields=_given(fields)))
        if self.aws_ecs_authentication:
            return found_by(own_only({}, files=False, machine=False), region, clock)
        if self.aws_key_id and self.aws_sec_key:
            chosen = {"AWS_ACCESS_KEY_ID": self.aws_key_id, "AWS_SECRET_ACCESS_KEY": self.aws_sec_key}
            return found_by(own_only(chosen), region, clock)
        return found_by({}, region, clock)


def _whole(seconds: Seconds | None) -> str | None:
    return None if seconds is None else str(int(seconds))


def _given(fields: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in fields.items() if text}


class LogsOptions(AccessOptions):
    """Settings of `<match> @type cloudwatch_logs`."""

    log_group_name: str | None = param("The log group, with placeholders.", default=None, placeholders=True)
    log_stream_name: str | None = param("The log stream, with placeholders.", default=None, placeholders=True)
    use_tag_as_group: bool = param("The tag names the group.", default=False)
    use_tag_as_stream: bool = param("The tag names the stream.", default=False)
    log_group_name_key: str | None = param("The field that names the group.", default=None)
    log_stream_name_key: str | None = param("The field that names the stream.", default=None)
    remove_log_group_name_key: bool = param("Leave that field out of the message.", default=False)
    remove_log_stream_name_key: bool = param("Leave that field out of the message.", default=False)
    auto_create_stream: bool = param("Make groups and streams that are not there.", default=False)
    retention_in_days: int | None = param("How long a group that is made keeps events.", default=None, convert=days)
    retention_in_days_key: str | None = param("The field that says so, of the first event for it.", default=None)
    remove_retention_in_days_key: bool = param("Leave that field out of the message.", default=False)
    log_group_aws_tags: dict[str, str] | None = param(
        "Tags of a group that is made, with placeholders.", default=None, placeholders=True
    )
    log_group_aws_tags_key: str | None = param("The field with them, of the first event for it.", default=None)
    remove_log_group_aws_tags_key: bool = param("Leave that field out of the message.", default=False)
    message_keys: list[str] = param(
        "The fields that are the message, with a space between two; unset: all of the record as JSON.", default=[]
    )
    max_message_length: int | None = param("Characters of a message; what is more is cut off.", default=None)
    max_events_per_batch: int = param(f"Events of a request, {MOST_EVENTS} at most.", default=MOST_EVENTS)
    log_rejected_request: bool = param(
        "Warn of events that CloudWatch finds too old or too new. They are dead letters in any case.", default=False
    )
    put_log_events_retry_wait: Seconds = param(f"Accepted for compatibility; {AGAIN}.", default="1")
    put_log_events_retry_limit: int = param(f"Accepted for compatibility; {AGAIN}.", default=17)
    put_log_events_disable_retry_limit: bool = param(f"Accepted for compatibility; {AGAIN}.", default=False)
    concurrency: int = param(
        "Accepted for compatibility; `flush_thread_count` sends several chunks at once.", default=1
    )
    json_handler: Literal["yajl", "json"] = param(
        "Accepted for compatibility; JSON is written by orjson.", default="yajl"
    )
    format: PluginConf | None = plugin_section(
        "How a message is written, in place of `message_keys`.", kind="formatter"
    )
    inject: InjectOptions | None = section("Fields to add.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        yield from super().check()
        groups = (self.log_group_name, self.use_tag_as_group or None, self.log_group_name_key)
        if sum(each is not None for each in groups) != 1:
            yield "Set only one of log_group_name, use_tag_as_group and log_group_name_key"  # compat
        streams = (self.log_stream_name, self.use_tag_as_stream or None, self.log_stream_name_key)
        if sum(each is not None for each in streams) != 1:
            yield "Set only one of log_stream_name, use_tag_as_stream and log_stream_name_key"  # compat
        for name in ("log_group_aws_tags", "retention_in_days"):
            if getattr(self, name) is not None and getattr(self, f"{name}_key") is not None:
                yield InvalidSetting(f"Set only one of {name}, {name}_key", param=name)  # compat
        if not 0 < self.max_events_per_batch <= MOST_EVENTS:
            yield InvalidSetting(f"max_events_per_batch is one from 1 to {MOST_EVENTS}", param="max_events_per_batch")
