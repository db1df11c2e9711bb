"""What these tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from logpipe_elasticsearch.testing import SearchPeer


@pytest.fixture
async def server() -> AsyncIterator[SearchPeer]:
    """A server of version 8 that is well."""
    async with SearchPeer().serving() as peer:
        yield peer
