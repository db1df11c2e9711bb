"""What these tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from logpipe_http_services.testing import HecPeer


@pytest.fixture
async def splunk() -> AsyncIterator[HecPeer]:
    """A collector that is well."""
    async with HecPeer().serving() as peer:
        yield peer
