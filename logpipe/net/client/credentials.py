"""Where AWS's keys come from: the environment, or the files that its command line writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from logpipe.errors import LogpipeError


class NoCredentialsError(LogpipeError):
    """There are no keys where they are looked for."""


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """A pair of keys, and the token of those that are valid for a while only."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


def find_credentials(environ: Mapping[str, str], home: Path) -> AwsCredentials:
    """Return the keys of `AWS_ACCESS_KEY_ID` and its like, else of the profile `AWS_PROFILE` in AWS's files.

    Read at each request that is signed: whoever renews keys in a file needs no restart.

    Raises:
        NoCredentialsError: there are none.
    """
    access = environ.get("AWS_ACCESS_KEY_ID", "")
    secret = environ.get("AWS_SECRET_ACCESS_KEY", "")
    if access and secret:
        return AwsCredentials(access, secret, environ.get("AWS_SESSION_TOKEN", ""))
    profile = environ.get("AWS_PROFILE") or "default"
    places = (
        (Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials"), profile),
        (
            Path(environ.get("AWS_CONFIG_FILE") or home / ".aws/config"),
            profile if profile == "default" else f"profile {profile}",
        ),
    )
    for path, section in places:
        if (found := _read(path, section)) is not None:
            return found
    raise NoCredentialsError(
        "no keys for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write profile "
        f"{profile} in {places[0][0]}"
    )


def _read(path: Path, section: str) -> AwsCredentials | None:
    import configparser  # noqa: PLC0415 - only who has keys in files needs it

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
        values = dict(parser.items(section))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return None
    access, secret = values.get("aws_access_key_id", ""), values.get("aws_secret_access_key", "")
    return AwsCredentials(access, secret, values.get("aws_session_token", "")) if access and secret else None
