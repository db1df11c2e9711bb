"""AWS's signatures, by the examples that AWS has published, and where its keys are looked for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from logpipe.net import AwsCredentials, AwsSigner
from logpipe.net.client.credentials import NoCredentialsError, find_credentials

SUITE = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
S3 = AwsCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
FORM = "application/x-www-form-urlencoded"


def signature(service: str, keys: AwsCredentials, request: tuple[str, str, dict[str, str], bytes]) -> str:
    """The signature alone; the suite of all services has no header of the hash, S3's has."""
    moment = datetime(2013, 5, 24, tzinfo=UTC) if service == "s3" else datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    now = int(moment.timestamp()) * 1_000_000_000
    *start, body = request
    signer = AwsSigner(service, "us-east-1")
    signed = signer.sign(*start, (body,), credentials=keys, now=now, hash_header=service == "s3")
    return signed["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "expected"),
    [
        ("GET", "/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/example/..", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET", "/?Param2=value2&Param1=value1", {}, b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST", "/", {"Content-Type": FORM}, b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)  # fmt: skip
def test_the_suite(method: str, target: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    """Rows of AWS's Signature Version 4 test suite."""
    url = f"https://example.amazonaws.com{target}"
    assert signature("service", SUITE, (method, url, headers, body)) == expected


def test_the_example_of_iam() -> None:
    """ListUsers, which the manual of IAM goes through step by step."""
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    headers = {"Content-Type": f"{FORM}; charset=utf-8"}
    found = signature("iam", SUITE, ("GET", url, headers, b""))
    assert found == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "expected"),
    [
        (
            "GET", "/test.txt", {"Range": "bytes=0-9"}, b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("GET", "/?lifecycle", {}, b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "PUT", "/test$file.text",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
    ],
)  # fmt: skip
def test_the_examples_of_s3(method: str, target: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    """Those of the API reference of S3."""
    url = f"https://examplebucket.s3.amazonaws.com{target}"
    assert signature("s3", S3, (method, url, headers, body)) == expected


def test_a_token_is_signed() -> None:
    """Keys that are valid for a while come with one."""
    keys = AwsCredentials("A", "B", "T")
    signed = AwsSigner("es", "eu-west-1").sign("POST", "https://h:9200/", {}, (), credentials=keys, now=0)
    assert signed["X-Amz-Security-Token"] == "T"
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token" in signed["Authorization"]
    assert "B" not in repr(keys)


def test_where_keys_come_from(tmp_path: Path) -> None:
    """The environment, else the profile in the two files, else an error that says what to do."""
    with pytest.raises(NoCredentialsError, match="set AWS_ACCESS_KEY_ID"):
        find_credentials({}, tmp_path)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion = x\n[profile p]\naws_access_key_id=c\naws_secret_access_key=d\n"
    )
    own = tmp_path / "own"
    own.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b%\naws_session_token = t\n")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(own)}
    assert find_credentials(environ, tmp_path) == AwsCredentials("a", "b%", "t")
    assert find_credentials({**environ, "AWS_PROFILE": "p"}, tmp_path) == AwsCredentials("c", "d")
    keys = {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "f", "AWS_SESSION_TOKEN": "g"}
    assert find_credentials({**environ, **keys}, tmp_path) == AwsCredentials("e", "f", "g")
    own.write_bytes(b"\xff no ini")
    with pytest.raises(NoCredentialsError):
        find_credentials(environ, tmp_path)
