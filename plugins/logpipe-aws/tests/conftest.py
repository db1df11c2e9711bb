"""What these tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from logpipe_aws.testing import LogsPeer, S3Peer


@pytest.fixture(autouse=True)
def _nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody's keys are used, and nothing is asked that is not there."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def s3() -> AsyncIterator[S3Peer]:
    """A server with the bucket `logs`."""
    async with S3Peer().serving() as peer:
        yield peer


@pytest.fixture
async def logs() -> AsyncIterator[LogsPeer]:
    """A server with the group `g` and its stream `s`."""
    async with LogsPeer().serving() as peer:
        yield peer
