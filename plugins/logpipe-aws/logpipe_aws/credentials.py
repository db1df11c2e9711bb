"""Who sends: the keys of the settings, or those that somebody gives out. Rules: setup_credentials of out_s3.rb."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from logpipe import Options, param, section
from logpipe.net import AwsCredentials, AwsKeys, AwsSts
from logpipe_aws.command_keys import CommandKeys

_OWN: Final = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"}
)
"""Variables that go before what the settings choose."""
_NO_FILES: Final = {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CONFIG_FILE": os.devnull}
_NO_MACHINE: Final = {"AWS_EC2_METADATA_DISABLED": "true"}
TIMES: Final = "a connection has 2 seconds and an answer 5, and keys are asked for again with each attempt"


class Keys(Protocol):
    """What finds keys."""

    async def current(self) -> AwsCredentials:
        """Return the keys.

        Raises:
            NoCredentialsError: nobody gives out any.
        """


class StsOptions(Options):
    """What the sections have in common that ask STS."""

    role_arn: str = param("The role whose keys are used.", secret=True)
    role_session_name: str = param("The name of its session, which AWS's own logs show.")
    policy: str | None = param("A policy in JSON that the session's rights are limited by.", default=None)
    duration_seconds: int | None = param("Seconds for which keys are good; unset: an hour.", default=None)
    sts_region: str | None = param("Where STS is asked; unset: in the service's region.", default=None)
    sts_http_proxy: str | None = param(
        "The URL of a proxy on the way to STS; unset: what the environment says.", default=None, secret=True
    )
    sts_endpoint_url: str | None = param("STS's URL; unset: the region's.", default=None)

    def sts(self) -> AwsSts:
        """Return how STS is asked."""
        fields = {
            "RoleSessionName": self.role_session_name,
            "Policy": self.policy,
            "DurationSeconds": None if self.duration_seconds is None else str(self.duration_seconds),
            "ExternalId": getattr(self, "external_id", None),
        }
        return AwsSts(
            self.sts_region or "",
            self.sts_endpoint_url or "",
            self.sts_http_proxy or None,
            {name: text for name, text in fields.items() if text},
        )


class AssumeRoleOptions(StsOptions):
    """`<assume_role_credentials>`."""

    external_id: str | None = param("What the role's owner has asked for.", default=None, secret=True)


class WebIdentityOptions(StsOptions):
    """`<web_identity_credentials>`."""

    role_arn: str = param("The role whose keys are used.")
    web_identity_token_file: str = param("The file with the token, which is read each time: Kubernetes renews it.")


class InstanceProfileOptions(Options):
    """`<instance_profile_credentials>`."""

    ip_address: str | None = param("Where the machine's service is; unset: 169.254.169.254.", default=None)
    port: int | None = param("Its port; unset: 80.", default=None)
    retries: int | None = param(f"Accepted for compatibility; {TIMES}.", default=None)
    http_open_timeout: float | None = param(f"Accepted for compatibility; {TIMES}.", default=None)
    http_read_timeout: float | None = param(f"Accepted for compatibility; {TIMES}.", default=None)


class SharedOptions(Options):
    """`<shared_credentials>`."""

    path: str | None = param("The file; unset: `~/.aws/credentials`.", default=None)
    profile_name: str | None = param("The profile in it; unset: $AWS_PROFILE, or `default`.", default=None)


class CredentialOptions(Options):
    """What all outputs have; without any of it keys are found as AWS's own libraries find them."""

    aws_key_id: str | None = param("The key's id.", default=None, secret=True)
    aws_sec_key: str | None = param("The key.", default=None, secret=True)
    assume_role_credentials: AssumeRoleOptions | None = section("A role that is assumed, with the keys there are.")
    web_identity_credentials: WebIdentityOptions | None = section("A role that a token of Kubernetes is good for.")
    instance_profile_credentials: InstanceProfileOptions | None = section("Keys from the machine's own service.")
    shared_credentials: SharedOptions | None = section("Keys from a file, as AWS's command line writes it.")

    def keys(self, region: str, clock: Callable[[], int]) -> Keys:
        """Return what finds the keys: the first of the settings that is there, in the order of the plugin.

        Args:
            region: the service's.
            clock: returns nanoseconds since the epoch.
        """
        token, profile = getattr(self, "aws_ses_token", None), getattr(self, "aws_profile", None)
        own = {"AWS_ACCESS_KEY_ID": self.aws_key_id or "", "AWS_SECRET_ACCESS_KEY": self.aws_sec_key or ""}
        given = own_only({**own, "AWS_SESSION_TOKEN": token or ""}) if all(own.values()) else {}
        if (assumed := self.assume_role_credentials) is not None:
            return found_by(given, region, clock, role=assumed.role_arn, sts=assumed.sts())
        if given:
            return found_by(given, region, clock)
        if profile:
            return found_by(own_only({"AWS_PROFILE": profile}), region, clock)
        if command := getattr(self, "aws_credential_process", None):
            return CommandKeys(command, clock)
        if (web := self.web_identity_credentials) is not None:
            chosen = {"AWS_WEB_IDENTITY_TOKEN_FILE": web.web_identity_token_file, "AWS_ROLE_ARN": web.role_arn}
            return found_by(own_only(chosen), region, clock, sts=web.sts())
        if (machine := self.instance_profile_credentials) is not None:
            return found_by(own_only(_service_of(machine), files=False), region, clock)
        if (shared := self.shared_credentials) is not None:
            chosen = {"AWS_SHARED_CREDENTIALS_FILE": shared.path or "", "AWS_PROFILE": shared.profile_name or ""}
            chosen = {name: text for name, text in chosen.items() if text}
            chosen["AWS_CONFIG_FILE"] = os.devnull
            return found_by(own_only(chosen, container=False, machine=False), region, clock)
        return found_by({}, region, clock)


def own_only(
    chosen: Mapping[str, str], *, files: bool = True, container: bool = True, machine: bool = True
) -> dict[str, str]:
    """Return the environment with what is chosen, and without the keys that it has of its own.

    Args:
        chosen: by variable.
        files: whether those of AWS's command line count.
        container: whether the container's service counts.
        machine: whether the machine's does.
    """
    found = {name: text for name, text in os.environ.items() if name not in _OWN}
    if not files:
        found |= _NO_FILES
    if not container:
        found = {name: text for name, text in found.items() if not name.startswith("AWS_CONTAINER_")}
    if not machine:
        found |= _NO_MACHINE
    return found | dict(chosen)


def found_by(
    environ: Mapping[str, str], region: str, clock: Callable[[], int], *, role: str = "", sts: AwsSts | None = None
) -> AwsKeys:
    """Return what finds keys by an environment; by the process's own where it is empty."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises an error for a user without a folder
    return AwsKeys(environ or os.environ, home, region, clock, role, sts or AwsSts())


def _service_of(machine: InstanceProfileOptions) -> dict[str, str]:
    if machine.ip_address is None and machine.port is None:
        return {}
    host = machine.ip_address or "169.254.169.254"
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{f'[{host}]' if ':' in host else host}:{machine.port or 80}"}
