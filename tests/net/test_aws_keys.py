"""Keys that AWS gives out for a while: where they are asked for, in which order, and when again."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from logpipe.net import AwsCredentials, AwsKeys
from logpipe.net.client.credentials import NoCredentialsError
from logpipe.testing.http_peer import Answer, HttpPeer, Request

HOUR = 3600
NOW = 1_600_000_000
END = "2020-09-13T13:26:40Z"
"""An hour later."""
GIVEN = {"AccessKeyId": "a", "SecretAccessKey": "s", "Token": "t", "Expiration": END}
ROLES = "/latest/meta-data/iam/security-credentials/"


class Aws(HttpPeer):
    """A container's service, a machine's, and STS."""

    is_broken = False

    def answer(self, request: Request) -> Answer:
        if self.is_broken:
            return Answer(200, b"{}")
        if request.path == "/latest/api/token":
            return Answer(200, b"secret") if request.method == "PUT" else Answer(405)
        if request.path.startswith(ROLES):
            if request.headers.get("X-aws-ec2-metadata-token") != "secret":
                return Answer(401)
            return Answer(200, b"my-role" if request.path == ROLES else json.dumps(GIVEN).encode())
        if request.path == "/container":
            return Answer(200, json.dumps(GIVEN | {"AccessKeyId": request.headers.get("Authorization", "")}).encode())
        action = parse_qs(request.body.decode())
        if action.get("RoleArn") != ["arn:r"]:
            return Answer(403, b"<Message>no such role</Message>")
        name = "".join(action["Action"]) + ("".join(action.get("WebIdentityToken", [])))
        return Answer(
            200,
            f"<R><AccessKeyId>{name}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{END}</Expiration></R>".encode(),
        )


def keys(aws: Aws, folder: Path, now: list[int], *, role: str = "", **environ: str) -> AwsKeys:
    """Keys as they are found with such an environment; PORT in it is where AWS is."""
    base = {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:PORT",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:PORT",
    }
    filled = {name: value.replace("PORT", str(aws.port)) for name, value in {**base, **environ}.items()}
    return AwsKeys(filled, folder, "eu-west-1", lambda: now[0] * 10**9, role)


async def test_who_gives_them_out(tmp_path: Path) -> None:
    """The environment goes before a token, that before a container, that before the machine."""
    (tmp_path / "token").write_text("tok\n")
    own = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": f"{tmp_path}/token", "AWS_ROLE_ARN": "arn:r"}
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:PORT/container"}
    container["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = f"{tmp_path}/token"
    async with Aws().serving() as aws:
        rows = [({**own, **web, **container}, AwsCredentials("k", "s"))]
        rows += [({**web, **container}, AwsCredentials("AssumeRoleWithWebIdentitytok", "s", "t"))]
        rows += [(container, AwsCredentials("tok", "s", "t")), ({}, AwsCredentials("a", "s", "t"))]
        for environ, expected in rows:
            assert await keys(aws, tmp_path, [NOW], **environ).current() == expected


async def test_a_role_is_assumed(tmp_path: Path) -> None:
    """With the keys that there are, which sign the question."""
    own = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    async with Aws().serving() as aws:
        found = await keys(aws, tmp_path, [NOW], role="arn:r", **own).current()
        assert found == AwsCredentials("AssumeRole", "s", "t")
        (request,) = aws.requests
        assert "Credential=k/20200913/eu-west-1/sts/aws4_request" in request.headers["Authorization"]
        with pytest.raises(NoCredentialsError, match=r"403 Forbidden.*no such role"):
            await keys(aws, tmp_path, [NOW], role="arn:other", **own).current()


async def test_they_are_kept_until_shortly_before_their_end(tmp_path: Path) -> None:
    """And asked for once, however many wait."""
    now = [NOW]
    async with Aws().serving() as aws:
        found = keys(aws, tmp_path, now)
        for moment, asked in ((NOW, 3), (NOW + HOUR - 301, 3), (NOW + HOUR - 299, 6)):
            now[0] = moment
            await found.current()
            assert len(aws.requests) == asked


async def test_nobody_gives_any_out(tmp_path: Path) -> None:
    """What to do is said."""
    async with Aws().serving() as aws:
        for environ in (
            {"AWS_EC2_METADATA_DISABLED": "true"},
            {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"},
        ):
            with pytest.raises(NoCredentialsError, match="set AWS_ACCESS_KEY_ID"):
                await keys(aws, tmp_path, [NOW], **environ).current()
        with pytest.raises(NoCredentialsError, match=r"none: .*No such file"):
            await keys(aws, tmp_path, [NOW], AWS_WEB_IDENTITY_TOKEN_FILE=f"{tmp_path}/none").current()
        aws.is_broken = True
        uri = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:PORT/container"}
        with pytest.raises(NoCredentialsError, match="answer has none"):
            await keys(aws, tmp_path, [NOW], **uri).current()
