"""Whose keys requests are signed with."""

from __future__ import annotations

import json
import shlex
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from logpipe.net import AwsCredentials, NoCredentialsError, TlsError
from logpipe.testing import Front, build, configure, drive, wait_for
from logpipe.testing.http_peer import Answer, HttpPeer, Request
from logpipe_aws.out_s3 import S3Output
from logpipe_aws.testing import S3Peer
from tests.net.certificates import AUTHORITY, write

END = "2100-01-01T00:00:00Z"
NOW = 1_704_110_400 * 1_000_000_000
ROLES = "/latest/meta-data/iam/security-credentials/"


class Aws(HttpPeer):
    """The machine's service, and STS."""

    def answer(self, request: Request) -> Answer:
        if request.path == "/latest/api/token":
            return Answer(200, b"token")
        if request.path.startswith(ROLES):
            given = {"AccessKeyId": "machine", "SecretAccessKey": "s", "Token": "t", "Expiration": END}
            return Answer(200, b"role" if request.path == ROLES else json.dumps(given).encode())
        (action,) = parse_qs(request.body.decode())["Action"]
        return Answer(
            200,
            f"<R><AccessKeyId>{action}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{END}</Expiration></R>".encode(),
        )


ROLE = """
    role_arn arn:r
    role_session_name me
    policy {}
    duration_seconds 900
    sts_region eu-west-9
"""
AT = "sts_endpoint_url http://127.0.0.1:PORT/"
BY = "sts_endpoint_url http://sts.invalid\nsts_http_proxy http://127.0.0.1:PORT"
OWN = "aws_key_id k\naws_sec_key s"
ROWS: list[tuple[str, AwsCredentials]] = [
    (OWN, AwsCredentials("k", "s")),
    ("", AwsCredentials("env", "s", "t")),
    ("aws_profile p", AwsCredentials("profile", "s")),
    (f"{OWN}\naws_profile p", AwsCredentials("k", "s")),
    (
        f"{OWN}\n<assume_role_credentials>\n{ROLE}\nexternal_id x\n{AT}\n</assume_role_credentials>",
        AwsCredentials("AssumeRole", "s", "t"),
    ),
    (f"<assume_role_credentials>\n{ROLE}\n{BY}\n</assume_role_credentials>", AwsCredentials("AssumeRole", "s", "t")),
    (
        f"<web_identity_credentials>\n{ROLE}\n{AT}\nweb_identity_token_file FOLDER/token\n</web_identity_credentials>",
        AwsCredentials("AssumeRoleWithWebIdentity", "s", "t"),
    ),
    (
        f"<web_identity_credentials>\n{ROLE}\n{BY}\nweb_identity_token_file FOLDER/token\n</web_identity_credentials>",
        AwsCredentials("AssumeRoleWithWebIdentity", "s", "t"),
    ),
    (
        "<instance_profile_credentials>\nip_address 127.0.0.1\nport PORT\n</instance_profile_credentials>",
        AwsCredentials("machine", "s", "t"),
    ),
    (
        "<shared_credentials>\npath FOLDER/others\nprofile_name q\n</shared_credentials>",
        AwsCredentials("shared", "s"),
    ),
]


@pytest.fixture
def _around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys wherever somebody may look for some."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    for name, text in {"ACCESS_KEY_ID": "env", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "t"}.items():
        monkeypatch.setenv(f"AWS_{name}", text)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[p]\naws_access_key_id=profile\naws_secret_access_key=s\n")
    (tmp_path / "others").write_text("[q]\naws_access_key_id=shared\naws_secret_access_key=s\n")
    (tmp_path / "token").write_text("tok")


@pytest.mark.usefixtures("_around")
@pytest.mark.parametrize(("conf", "expected"), ROWS)
async def test_whose_keys(conf: str, expected: AwsCredentials, tmp_path: Path) -> None:
    """The first of the settings counts, and asks where it says."""
    async with Aws().serving() as aws:
        conf = conf.replace("PORT", str(aws.port)).replace("FOLDER", str(tmp_path))
        options: Any = configure(S3Output, f"s3_bucket b\n{conf}")
        assert await options.keys("eu-west-1", lambda: NOW).current() == expected
    for request in aws.requests if "role_arn" in conf else ():
        asked = parse_qs(request.body.decode())
        wanted = {"RoleArn": ["arn:r"], "RoleSessionName": ["me"], "Policy": ["{}"], "DurationSeconds": ["900"]}
        assert {name: asked[name] for name in wanted} == wanted
        assert asked.get("ExternalId") == (["x"] if "external_id" in conf else None)
        assert asked.get("WebIdentityToken") == (["tok"] if "web_identity" in conf else None)
        if "web_identity" not in conf:
            signer = "k" if "aws_key_id" in conf else "env"
            assert f"Credential={signer}/20240101/eu-west-9/sts/" in request.headers["Authorization"]


async def test_keys_of_a_command(tmp_path: Path) -> None:
    """It runs once until they end; what it does wrong is told."""
    printed = {"Version": 1, "AccessKeyId": "c", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": END}
    command = f"echo x >>{tmp_path}/ran; echo {shlex.quote(json.dumps(printed))}"
    now = [NOW]
    options: Any = configure(S3Output, f"s3_bucket b\naws_credential_process {command}")
    keys = options.keys("eu-west-1", lambda: now[0])
    assert [await keys.current(), await keys.current()] == [AwsCredentials("c", "s", "t")] * 2
    assert (tmp_path / "ran").read_text() == "x\n"
    now[0] = 4_102_444_800 * 1_000_000_000
    await keys.current()
    assert (tmp_path / "ran").read_text() == "x\nx\n"
    for wrong, said in (("echo oh no >&2; exit 3", "oh no"), ("echo 1", "prints none")):
        options = configure(S3Output, f"s3_bucket b\naws_credential_process {wrong}")
        with pytest.raises(NoCredentialsError, match=said):
            await options.keys("eu-west-1", lambda: NOW).current()


async def test_no_keys(s3: S3Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts all the same, says what to do, and goes on when there are some."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    conf = f"s3_bucket logs\ns3_endpoint http://127.0.0.1:{s3.port}\n<buffer time>\ntimekey 1d\nretry_wait 0.05\n"
    async with drive(S3Output, f"{conf}flush_mode immediate\nretry_max_interval 0.1\n</buffer>") as running:
        await running.feed("app", {"n": 1}, times=[NOW])
        await wait_for(lambda: any("set AWS_ACCESS_KEY_ID" in text for text in running.log.texts("warning")), "it")
        assert not s3.requests
        (tmp_path / "keys").write_text("[default]\naws_access_key_id=k\naws_secret_access_key=s\n")
        await running.flush()
    assert s3.objects


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_tls(is_trusted: bool, s3: S3Peer, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of pytest
    """The server's CA is in a file, or anybody is let in."""
    write(tmp_path)
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trust = f"ssl_ca_bundle {tmp_path}/ca.pem" if is_trusted else "ssl_verify_peer false"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with Front("127.0.0.1", s3.port).standing(tls=context) as front:
        conf = f"{OWN}\ns3_bucket logs\ns3_endpoint https://localhost:{front.port}\nforce_path_style true\n{trust}"
        async with drive(
            S3Output, f"{conf}\n<buffer time>\ntimekey 1d\nflush_mode immediate\nretry_max_times 1\n</buffer>"
        ) as running:
            await running.feed("app", {"n": 1}, times=[NOW])
            await running.flush()
    assert s3.objects, running.log.messages
    output = build(S3Output, f"s3_bucket b\nssl_ca_bundle {tmp_path}/none")
    with pytest.raises(TlsError, match="none"):
        await output.start()


async def test_secrets_are_masked() -> None:
    """In what is shown of the settings."""
    options: Any = configure(S3Output, f"s3_bucket b\n{OWN}")
    settings = type(options).settings()
    secret = {name for name, setting in settings.items() if setting.secret}
    assert secret >= {"aws_key_id", "aws_sec_key", "sse_customer_key", "ssekms_key_id", "proxy_uri"}
